"""Tables: requests, routing_metrics.

Rows are written once and never changed, but for responses that a provider works on in the
background: their usage is added when they have ended.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.utils import timezone

from analytics.database.large_tables import LargeTableQuerySet
from analytics.encryption import EncryptedTextField
from analytics.models.columns import ModelRefMixin, choices
from analytics.money import money
from routing.models import CONFIDENCES, STRATEGIES, TIERS
from routing.patterns import PATTERNS

if TYPE_CHECKING:
    from analytics.models.answers import CachedResponse

SAME_MOMENT = timedelta(milliseconds=1)
"""A cached answer has the time of its request, of which some databases keep fewer digits."""


class RequestQuerySet(LargeTableQuerySet):
    """Queries for requests, with and without those that were refused."""

    def admitted(self) -> RequestQuerySet:
        """Return the requests that were not refused: those that figures are about."""
        return self.exclude(status=RequestRecord.Status.REFUSED)

    def not_ok(self) -> RequestQuerySet:
        """Return the requests that have no answer, by their index."""
        return self.exclude(status=RequestRecord.Status.OK)

    def source_of(self, entry: CachedResponse) -> RequestQuerySet:
        """Return the request whose answer ``entry`` keeps, if it is still recorded.

        The time finds it: an index of all cache keys, which are random, would cost each request a
        write to another page, so only cache hits have one.
        """
        at = entry.created_at
        return self.filter(
            cache_key=entry.cache_key,
            cache_hit=False,
            created_at__range=(at - SAME_MOMENT, at + SAME_MOMENT),
        )

    def hits_of(self, entry: CachedResponse) -> RequestQuerySet:
        """Return the requests that got the answer that ``entry`` keeps from the cache."""
        return self.filter(
            cache_key=entry.cache_key, cache_hit=True, created_at__gte=entry.created_at
        )


class RequestRecord(ModelRefMixin, models.Model):
    """One row of the ledger: a request, the model that answered it and what it cost.

    ``cost`` is everything that providers charged for the request, ``failed_cost``
    the part spent on failed attempts, and ``price_basis`` says how the rest is known. A request
    that was refused (``http_status`` is 4xx) cost nothing, and was neither analyzed nor routed:
    no figure counts it. ``id`` is time-ordered (UUIDv7), so it is also the order of arrival.
    """

    class Status(models.TextChoices):
        """How the request ended."""

        OK = "ok", "answered"
        PARTIAL = "partial", "cut off"
        ERROR = "error", "failed"
        REFUSED = "refused", "refused"

    class Endpoint(models.TextChoices):
        """Where the request came in."""

        COMPLETE = "complete", "/complete"
        CHAT = "chat/completions", "OpenAI chat completions"
        COMPLETIONS = "completions", "OpenAI completions"
        RESPONSES = "responses", "OpenAI responses"
        EMBEDDINGS = "embeddings", "embeddings"
        MESSAGES = "messages", "Anthropic messages"
        GENERATE = "generateContent", "Gemini generateContent"
        IMAGES = "images/generations", "images"
        IMAGE_EDITS = "images/edits", "edits of images"
        TRANSCRIPTIONS = "audio/transcriptions", "transcriptions of audio"
        TRANSLATIONS = "audio/translations", "translations of audio"
        SPEECH = "audio/speech", "speech"
        MODERATIONS = "moderations", "moderations"
        RERANK = "rerank", "ranking of documents"
        BATCHES = "batches", "batches"
        PLAYGROUND = "playground", "the admin's playground"

    class PriceBasis(models.TextChoices):
        """How the cost is known; empty where nothing was charged, and in rows from before."""

        REPORTED = "reported", "reported by the provider"
        TABLE = "table", "price table"
        ESTIMATED = "estimated", "estimated tokens"
        UNKNOWN = "unknown", "unknown"

    class Turn(models.TextChoices):
        """The kind of turn that the request is in its session."""

        HUMAN = "human", "a person's turn"
        TOOL_RESULT = "tool_result", "going on after a tool"
        SUB_AGENT = "sub_agent", "sub-agent"
        TITLE = "title", "title"
        SUMMARY = "summary", "summary"
        COMPACTION = "compaction", "compaction"
        PROBE = "probe", "probe"
        CLASSIFICATION = "classification", "classification"
        OTHER = "other", "other"
        KEEP_ALIVE = "keep_alive", "keeping the prompt cache"

    id = models.UUIDField(primary_key=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.OK)
    prompt = EncryptedTextField(blank=True)
    prompt_hash = models.CharField(max_length=64, blank=True)
    max_tokens = models.PositiveIntegerField(null=True, blank=True)
    auto_route = models.BooleanField(default=False)
    endpoint = models.CharField(max_length=32, choices=Endpoint.choices, default=Endpoint.COMPLETE)
    requested_model = models.CharField(
        max_length=200, blank=True, help_text="Model name as the client sent it."
    )
    streamed = models.BooleanField(default=False)
    tags = models.JSONField(default=list, blank=True)
    user_id = models.CharField(max_length=128, blank=True)
    session_id = models.CharField(max_length=128, blank=True)
    agent = models.CharField(max_length=32, blank=True, default="", db_default="")
    sub_agent = models.CharField(
        max_length=128, blank=True, default="", db_default="",
        help_text="The sub-agent's id; empty for the main agent.",
    )  # fmt: skip
    parent_agent = models.CharField(max_length=128, blank=True, default="", db_default="")
    turn = models.CharField(
        max_length=16, choices=Turn.choices, blank=True, default="", db_default=""
    )
    effort = models.CharField(
        max_length=10, blank=True, default="", db_default="",
        help_text="How much the model was asked to reason.",
    )  # fmt: skip
    tools_called = models.JSONField(
        null=True, blank=True, help_text="The tools that the answer calls, in their order."
    )
    response_id = models.CharField(
        max_length=128, blank=True, default="", db_default="",
        help_text="The provider's id of the answer.",
    )  # fmt: skip
    pattern = models.CharField(max_length=20, choices=choices(PATTERNS))
    complexity = models.FloatField()
    tier = models.CharField(max_length=10, choices=choices(TIERS))
    strategy = models.CharField(max_length=20, choices=choices(STRATEGIES))
    confidence = models.CharField(max_length=10, choices=choices(CONFIDENCES))
    provider = models.CharField(max_length=64, blank=True)
    model = models.CharField(max_length=128, blank=True)
    member = models.CharField(
        "pool member", max_length=40, blank=True, default="", db_default="",
        help_text="The key, deployment or region of the provider's pool that answered.",
    )  # fmt: skip
    tokens_in = models.PositiveIntegerField(default=0)
    tokens_out = models.PositiveIntegerField(default=0)
    tokens_estimated = models.PositiveIntegerField(
        default=0, help_text="Input tokens estimated by characters: equal for every tokenizer."
    )
    cache_read_tokens = models.PositiveIntegerField(default=0)
    cache_write_tokens = models.PositiveIntegerField(default=0)
    reasoning_tokens = models.PositiveIntegerField(default=0)
    usage_estimated = models.BooleanField(default=False)
    finish_reason = models.CharField(max_length=20, blank=True)
    cost = money(null=True)
    price_basis = models.CharField(
        max_length=10, choices=PriceBasis.choices, blank=True, default="", db_default="",
        help_text="How the cost is known; empty where nothing was charged.",
    )  # fmt: skip
    list_cost = money(
        null=True,
        blank=True,
        help_text="USD by the price table, where the provider reported another amount or the "
        "call was paid ahead.",
    )
    billed_units = models.JSONField(
        null=True,
        blank=True,
        help_text="What was priced beside tokens of text: tier, tools, media.",
    )
    failed_cost = money(default=Decimal(0))
    cache_hit = models.BooleanField(default=False)
    cache_key = models.CharField(max_length=64, blank=True)
    original_cost = money(null=True)
    savings = money(null=True)
    latency_ms = models.FloatField(default=0.0)
    provider_ms = models.FloatField(null=True)
    ttft_ms = models.FloatField(
        "time to first token", null=True, blank=True, help_text="Milliseconds; streams only."
    )
    attempts = models.JSONField(default=list, blank=True, encoder=DjangoJSONEncoder)
    guardrails = models.JSONField(
        null=True, blank=True, encoder=DjangoJSONEncoder,
        help_text="What guard rails found: each with its verdict, its time and its cost.",
    )  # fmt: skip
    error_code = models.CharField(max_length=40, blank=True)
    error_detail = models.TextField(blank=True)
    http_status = models.PositiveSmallIntegerField(
        "HTTP status", null=True, blank=True, help_text="Of refused requests only."
    )
    api_key = models.CharField(
        "API key", max_length=16, blank=True, help_text="Beginning of the key."
    )
    tenant = models.CharField(max_length=80, blank=True)
    project = models.CharField(max_length=64, blank=True)
    experiment = models.CharField(max_length=60, blank=True)
    arm = models.CharField(max_length=10, blank=True)
    levers = models.JSONField(
        null=True, blank=True,
        help_text="The levers that could act on it, each with its arm and its propensity.",
    )  # fmt: skip
    replayed = models.BooleanField(
        default=False, help_text="Recorded elsewhere and replayed here; no client sent it."
    )

    objects = RequestQuerySet.as_manager()

    class Meta:
        db_table = "requests"
        verbose_name = "request"
        permissions = (
            ("ask_requestrecord", "Can ask models in the playground"),
            ("view_prompts", "Can view prompts, answers and comments"),
        )
        indexes = [
            models.Index(
                # In order of time, with what lists filter by: one entry a request instead of
                # six. Each column of its own index would make rare values faster to find, but
                # a look through a million entries takes less than a tenth of a second.
                fields=["-created_at", "status", "cache_hit", "tier", "strategy", "endpoint"],
                name="requests_filters",
            ),
            models.Index(
                fields=["status", "-created_at"],
                condition=~models.Q(status="ok"),
                name="requests_not_ok",
            ),
            models.Index(fields=["provider", "model", "-created_at"], name="requests_model"),
            models.Index(
                fields=["cache_key"], condition=models.Q(cache_hit=True), name="requests_hits"
            ),
            models.Index(
                fields=["tenant", "-created_at"],
                condition=~models.Q(tenant=""),
                name="requests_tenant",
            ),
            models.Index(
                fields=["-created_at"], condition=models.Q(replayed=True), name="requests_replayed"
            ),
            models.Index(
                fields=["session_id", "created_at"],
                condition=~models.Q(session_id=""),
                name="requests_session",
            ),
            models.Index(
                fields=["user_id", "-created_at"],
                condition=~models.Q(user_id=""),
                name="requests_user",
            ),
            models.Index(
                fields=["api_key", "-created_at"],
                condition=~models.Q(api_key=""),
                name="requests_key",
            ),
            models.Index(
                fields=["-created_at"],
                condition=models.Q(failed_cost__gt=0),
                name="requests_failed_cost",
            ),
            models.Index(
                fields=["response_id"],
                condition=~models.Q(response_id=""),
                name="requests_response",
            ),
            models.Index(
                fields=["experiment", "arm"],
                condition=~models.Q(experiment=""),
                name="requests_experiment",
            ),
            models.Index(
                fields=["-created_at"],
                condition=models.Q(levers__isnull=False),
                name="requests_levers",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.id}"


class RoutingMetric(ModelRefMixin, models.Model):
    """The routing decision for one request, and the cost of the baseline's choice.

    The baseline is the model that the complexity strategy would choose.
    ``baseline_output_cost`` is the part of ``baseline_cost`` for output tokens.
    ``prompt_cache_saved`` is what the provider's prompt cache saved in
    ``actual_cost``, less what writing to that cache cost.
    """

    request = models.OneToOneField(
        RequestRecord, on_delete=models.CASCADE, primary_key=True, related_name="decision"
    )
    created_at = models.DateTimeField(default=timezone.now)
    provider = models.CharField(max_length=64)
    model = models.CharField(max_length=128)
    strategy_used = models.CharField(max_length=20, choices=choices(STRATEGIES))
    confidence = models.CharField(max_length=10, choices=choices(CONFIDENCES))
    reasoning = models.TextField()
    fallback_used = models.BooleanField(default=False)
    pattern = models.CharField(max_length=20, choices=choices(PATTERNS))
    complexity = models.FloatField()
    tier = models.CharField(max_length=10, choices=choices(TIERS))
    cost_estimate = money(null=True)
    quality_score = models.FloatField(null=True)
    actual_cost = money(null=True)
    baseline_provider = models.CharField(max_length=64, blank=True)
    baseline_model = models.CharField(max_length=128, blank=True)
    baseline_cost = money(null=True)
    baseline_output_cost = money(null=True)
    routing_saved = money(null=True)
    cache_saved = money(null=True)
    prompt_cache_saved = money(null=True)
    cache_marked = models.BooleanField(
        default=False, db_default=False,
        help_text="The prompt cache was asked for here, as the client did not.",
    )  # fmt: skip
    explored = models.BooleanField(default=False, help_text="Chosen to learn about the model.")
    metadata = models.JSONField(default=dict, encoder=DjangoJSONEncoder)

    objects = LargeTableQuerySet.as_manager()

    class Meta:
        db_table = "routing_metrics"
        verbose_name = "routing decision"
        indexes = [
            models.Index(  # for each filter of the list, as that of the requests
                fields=[
                    "-created_at",
                    "strategy_used",
                    "confidence",
                    "pattern",
                    "tier",
                    "provider",
                    "model",
                ],
                name="metrics_filters",
            ),
            models.Index(
                fields=["-created_at"],
                condition=models.Q(routing_saved__isnull=True),
                name="metrics_unpriced",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.strategy_used}: {self.ref}"
