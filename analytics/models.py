"""Tables: requests, routing_metrics, response_cache, feedback, learned_evidence.

Money is USD in ``Decimal``, null where a price is unknown. Times are aware UTC.
History is written once: only cache entries and totals change after insertion.
"""

from __future__ import annotations

from decimal import Decimal

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.utils import timezone

from analytics.large_tables import LargeTableQuerySet
from analytics.money import money
from routing.models import CONFIDENCES, STRATEGIES, TIERS
from routing.patterns import PATTERNS


def _choices(values: tuple[str, ...]) -> list[tuple[str, str]]:
    return [(value, value) for value in values]


class CachedResponse(models.Model):
    """An answer that can be given again for nothing."""

    cache_key = models.CharField(max_length=64, unique=True)
    semantic_key = models.CharField(
        max_length=64,
        blank=True,
        help_text="Of all but the last question, where the semantic cache may give this answer.",
    )
    prompt = models.TextField(blank=True)
    prompt_hash = models.CharField(max_length=64)
    max_tokens = models.PositiveIntegerField(null=True, blank=True)
    response = models.TextField()
    answer = models.JSONField(
        null=True,
        blank=True,
        encoder=DjangoJSONEncoder,
        help_text="The whole answer, where it is more than its text.",
    )
    finish_reason = models.CharField(max_length=20, blank=True)
    provider = models.CharField(max_length=64)
    model = models.CharField(max_length=128)
    pattern = models.CharField(max_length=20, choices=_choices(PATTERNS))
    complexity = models.FloatField()
    tier = models.CharField(max_length=10, choices=_choices(TIERS))
    tokens_in = models.PositiveIntegerField()
    tokens_out = models.PositiveIntegerField()
    original_cost = money(null=True)
    baseline_cost = money(null=True)
    hit_count = models.PositiveIntegerField(default=0)
    vote_count = models.PositiveIntegerField(default=0)
    vote_sum = models.FloatField(default=0.0)
    quality_score = models.FloatField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField(null=True, blank=True)
    last_hit_at = models.DateTimeField(null=True, blank=True)
    invalidated_at = models.DateTimeField(null=True, blank=True)
    invalidation_reason = models.CharField(max_length=200, blank=True)

    objects = LargeTableQuerySet.as_manager()

    class Meta:
        db_table = "response_cache"
        verbose_name = "cached response"
        indexes = [
            models.Index(fields=["-created_at"], name="cache_created"),
            models.Index(fields=["-hit_count"], name="cache_popular"),
            models.Index(fields=["invalidated_at"], name="cache_invalidated"),
        ]

    @property
    def saved_by_hits(self) -> Decimal | None:
        """USD that giving this answer again has saved; ``None`` without a price."""
        return None if self.original_cost is None else self.original_cost * self.hit_count

    def __str__(self) -> str:
        return f"{self.cache_key[:12]} ({self.provider}/{self.model})"


class RequestRecord(models.Model):
    """One request: what was asked, who answered, what it cost. The ledger.

    ``cost`` is everything we were charged for it, ``failed_cost`` the part that
    failed attempts used up. ``id`` is time-ordered (UUIDv7), so it is also the
    order of arrival.
    """

    class Status(models.TextChoices):
        OK = "ok", "answered"
        PARTIAL = "partial", "cut off"
        ERROR = "error", "failed"

    class Endpoint(models.TextChoices):
        COMPLETE = "complete", "/complete"
        CHAT = "chat/completions", "OpenAI chat completions"
        RESPONSES = "responses", "OpenAI responses"
        EMBEDDINGS = "embeddings", "OpenAI embeddings"
        MESSAGES = "messages", "Anthropic messages"

    id = models.UUIDField(primary_key=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.OK)
    prompt = models.TextField(blank=True)
    prompt_hash = models.CharField(max_length=64, blank=True)
    max_tokens = models.PositiveIntegerField(null=True, blank=True)
    auto_route = models.BooleanField(default=False)
    endpoint = models.CharField(max_length=32, choices=Endpoint.choices, default=Endpoint.COMPLETE)
    requested_model = models.CharField(
        max_length=200, blank=True, help_text="As the client named it."
    )
    streamed = models.BooleanField(default=False)
    tags = models.JSONField(default=list, blank=True)
    user_id = models.CharField(max_length=128, blank=True)
    session_id = models.CharField(max_length=128, blank=True)
    pattern = models.CharField(max_length=20, choices=_choices(PATTERNS))
    complexity = models.FloatField()
    tier = models.CharField(max_length=10, choices=_choices(TIERS))
    strategy = models.CharField(max_length=20, choices=_choices(STRATEGIES))
    confidence = models.CharField(max_length=10, choices=_choices(CONFIDENCES))
    provider = models.CharField(max_length=64, blank=True)
    model = models.CharField(max_length=128, blank=True)
    tokens_in = models.PositiveIntegerField(default=0)
    tokens_out = models.PositiveIntegerField(default=0)
    tokens_estimated = models.PositiveIntegerField(
        default=0, help_text="Of the input, by its characters: the same for every tokenizer."
    )
    cache_read_tokens = models.PositiveIntegerField(default=0)
    cache_write_tokens = models.PositiveIntegerField(default=0)
    reasoning_tokens = models.PositiveIntegerField(default=0)
    usage_estimated = models.BooleanField(default=False)
    finish_reason = models.CharField(max_length=20, blank=True)
    cost = money(null=True)
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
    error_code = models.CharField(max_length=40, blank=True)
    error_detail = models.TextField(blank=True)
    api_key = models.CharField("API key", max_length=16, blank=True, help_text="Its beginning.")
    tenant = models.CharField(max_length=80, blank=True)
    project = models.CharField(max_length=64, blank=True)
    experiment = models.CharField(max_length=60, blank=True)
    arm = models.CharField(max_length=10, blank=True)
    replayed = models.BooleanField(
        default=False, help_text="Recorded elsewhere and replayed here: no client asked this."
    )

    objects = LargeTableQuerySet.as_manager()

    class Meta:
        db_table = "requests"
        verbose_name = "request"
        indexes = [
            models.Index(fields=["-created_at"], name="requests_created"),
            models.Index(fields=["provider", "model", "-created_at"], name="requests_model"),
            models.Index(fields=["tier", "-created_at"], name="requests_tier"),
            models.Index(fields=["strategy", "-created_at"], name="requests_strategy"),
            models.Index(fields=["cache_hit", "-created_at"], name="requests_hit"),
            models.Index(fields=["status", "-created_at"], name="requests_status"),
            models.Index(fields=["endpoint", "-created_at"], name="requests_endpoint"),
            models.Index(fields=["cache_key"], name="requests_cache_key"),
            models.Index(
                fields=["-created_at"], condition=models.Q(replayed=True), name="requests_replayed"
            ),
            models.Index(
                fields=["experiment", "arm"],
                condition=~models.Q(experiment=""),
                name="requests_experiment",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.id}"


class RoutingMetric(models.Model):
    """The decision behind one request, and what complexity's choice would have cost.

    ``baseline_output_cost`` is the part of ``baseline_cost`` that is for the
    completion; ``prompt_cache_saved`` what the provider's prompt cache made
    cheaper of ``actual_cost``, less what writing to it cost.
    """

    request = models.OneToOneField(
        RequestRecord, on_delete=models.CASCADE, primary_key=True, related_name="decision"
    )
    created_at = models.DateTimeField(default=timezone.now)
    provider = models.CharField(max_length=64)
    model = models.CharField(max_length=128)
    strategy_used = models.CharField(max_length=20, choices=_choices(STRATEGIES))
    confidence = models.CharField(max_length=10, choices=_choices(CONFIDENCES))
    reasoning = models.TextField()
    fallback_used = models.BooleanField(default=False)
    pattern = models.CharField(max_length=20, choices=_choices(PATTERNS))
    complexity = models.FloatField()
    tier = models.CharField(max_length=10, choices=_choices(TIERS))
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
    explored = models.BooleanField(default=False, help_text="Tried in order to learn.")
    metadata = models.JSONField(default=dict, encoder=DjangoJSONEncoder)

    objects = LargeTableQuerySet.as_manager()

    class Meta:
        db_table = "routing_metrics"
        verbose_name = "routing decision"
        indexes = [
            models.Index(fields=["-created_at"], name="metrics_created"),
            models.Index(fields=["strategy_used", "-created_at"], name="metrics_strategy"),
            models.Index(fields=["confidence", "-created_at"], name="metrics_confidence"),
            models.Index(fields=["provider", "model", "-created_at"], name="metrics_model"),
            models.Index(fields=["pattern", "-created_at"], name="metrics_pattern"),
            models.Index(fields=["tier", "-created_at"], name="metrics_tier"),
        ]

    def __str__(self) -> str:
        return f"{self.strategy_used}: {self.provider}/{self.model}"


class Feedback(models.Model):
    """A verdict on an answer. Provider, model, pattern and tier are copied here so
    that learning survives the pruning of requests.

    ``expected`` is the score that was expected of this model on this prompt
    before any outcome; ``external_id`` names an imported outcome, so that it
    counts once however often it is imported.
    """

    class Source(models.TextChoices):
        CLIENT = "client", "given by a client"
        IMPORT = "import", "imported outcome"
        REPLAY = "replay", "replayed outcome"

    request = models.ForeignKey(
        RequestRecord, null=True, blank=True, on_delete=models.SET_NULL, related_name="feedback"
    )
    cache_entry = models.ForeignKey(
        CachedResponse, null=True, blank=True, on_delete=models.SET_NULL, related_name="feedback"
    )
    rating = models.SmallIntegerField(null=True, blank=True)
    score = models.FloatField()
    expected = models.FloatField(null=True, blank=True)
    source = models.CharField(max_length=10, choices=Source.choices, default=Source.CLIENT)
    external_id = models.CharField(max_length=200, blank=True)
    comment = models.CharField(max_length=500, blank=True)
    provider = models.CharField(max_length=64)
    model = models.CharField(max_length=128)
    pattern = models.CharField(max_length=20, choices=_choices(PATTERNS))
    tier = models.CharField(max_length=10, choices=_choices(TIERS))
    created_at = models.DateTimeField(default=timezone.now)

    objects = LargeTableQuerySet.as_manager()

    class Meta:
        db_table = "feedback"
        verbose_name_plural = "feedback"
        indexes = [
            models.Index(fields=["-created_at"], name="feedback_created"),
            models.Index(
                fields=["pattern", "tier", "provider", "model", "score"],
                name="feedback_evidence",
            ),
        ]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(score__gte=0) & models.Q(score__lte=1), name="score_0_to_1"
            ),
            models.UniqueConstraint(
                fields=["external_id"],
                condition=~models.Q(external_id=""),
                name="one_outcome_an_external_id",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.score:.2f} for {self.provider}/{self.model}"


class LearnedEvidence(models.Model):
    """What all verdicts on one kind of prompt and one model add up to, old ones faded.

    Changed under a lock in the verdict's own transaction, so that none is lost;
    ``manage.py rebuild_evidence`` makes it anew from the verdicts.
    """

    pattern = models.CharField(max_length=20, choices=_choices(PATTERNS))
    tier = models.CharField(max_length=10, choices=_choices(TIERS))
    provider = models.CharField(max_length=64)
    model = models.CharField(max_length=128)
    count = models.PositiveBigIntegerField(default=0)
    weight = models.FloatField(default=0.0)
    quality_sum = models.FloatField(default=0.0)
    expected_sum = models.FloatField(default=0.0)
    updated_at = models.DateTimeField(default=timezone.now)

    class Meta:
        db_table = "learned_evidence"
        verbose_name_plural = "learned evidence"
        constraints = [
            models.UniqueConstraint(
                fields=["pattern", "tier", "provider", "model"], name="one_evidence_a_kind"
            )
        ]

    def __str__(self) -> str:
        return f"{self.pattern}/{self.tier} {self.provider}/{self.model}"


# Django looks for every table here.
from analytics.alert_models import Alert, AlertRule  # noqa: E402
from analytics.comparison_models import Comparison  # noqa: E402
from analytics.experiment_models import Experiment  # noqa: E402
from analytics.key_models import ApiKey, Project, Team  # noqa: E402
from analytics.rule_models import RoutingRule, RuleChange  # noqa: E402
from analytics.total_models import DailyTotal, HourlyTotal, StaleHour, TotalsState  # noqa: E402

__all__ = [
    "Alert", "AlertRule", "ApiKey", "CachedResponse", "Comparison", "DailyTotal", "Experiment",
    "Feedback", "HourlyTotal", "LearnedEvidence", "Project", "RequestRecord", "RoutingMetric",
    "RoutingRule", "RuleChange", "StaleHour", "Team", "TotalsState",
]  # fmt: skip
