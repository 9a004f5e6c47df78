"""Schemas of answers for the OpenAPI document, and hooks that adjust the document."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers as s

from analytics.models import DeferredRequest
from optimizer.api.http.documentation import describe_endpoints


def keep_versioned_paths(endpoints: list[Any], **_: Any) -> list[Any]:
    """Return each endpoint once: ours under /api/v1, because the root paths are the same."""
    # All views are imported by now, and none is described yet.
    describe_endpoints()
    versioned = [e for e in endpoints if e[0].startswith(("/api/v1/", "/v1/", "/v1beta/models"))]
    # The methods of Gemini's API are documented where its clients expect them, and what
    # is the client's own beside the APIs that it uses.
    twice = (
        "/v1/models/{model}",
        "/v1/tuned",
        "/api/v1/sessions",
        "/api/v1/me",
        "/api/v1/deferred",
    )
    return [e for e in versioned if not e[0].startswith(twice)]


def close_inputs(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Mark the schemas of inputs as closed: unknown fields are refused."""
    for name, schema in result["components"]["schemas"].items():
        if name.endswith("InputRequest"):
            schema["additionalProperties"] = False
    return result


def require_keys_to_manage(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Say that the management API always needs a key, unlike what else there is."""
    for path, operations in result["paths"].items():
        if path.startswith("/api/v1/manage/"):
            for operation in operations.values():
                operation["security"] = [{"bearer": []}, {"apiKey": []}]
    return result


def require_one_rating_of_one_answer(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Add the rules that the feedback serializer checks across its fields."""

    def one_of(*fields: str) -> dict[str, Any]:
        return {"oneOf": [{"required": [field]} for field in fields]}

    schema = result["components"]["schemas"]["FeedbackInputRequest"]
    schema["allOf"] = [one_of("request_id", "cache_key"), one_of("rating", "score")]
    return result


def add_gatekeeper_errors(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Add the errors of server/gatekeeper.py, which checks keys and limits before any view."""
    error_schema = {
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorBody"}}}
    }
    for path, operations in result["paths"].items():
        if path.endswith(("/health", "/ready")):
            continue
        for operation in operations.values():
            if "requestBody" in operation:
                operation["requestBody"]["required"] = True
            responses = operation["responses"]
            error = {
                k: v for k, v in responses.get("400", error_schema).items() if k != "description"
            }
            for status, description in _GATEKEEPER_ERRORS.items():
                responses.setdefault(status, {**error, "description": description})
    return result


_GATEKEEPER_ERRORS = {
    "401": "The API key is missing or not valid.",
    "403": "The API key does not allow this request or this client address.",
    "429": "A rate limit or a budget is exceeded.",
    "503": "The service is temporarily unavailable.",
}


class ErrorBody(s.Serializer):
    """An error in the format of this service."""

    detail = s.CharField()
    status_code = s.IntegerField()
    errors = s.DictField(child=s.ListField(child=s.CharField()), required=False)  # type: ignore[assignment]
    failures = s.ListField(child=s.DictField(), required=False)
    request_id = s.UUIDField(required=False)
    code = s.CharField(required=False, help_text="budget_exceeded")
    resets_at = s.DateTimeField(
        required=False,
        allow_null=True,
        help_text="When the request may fit into the budget; null: never.",
    )


class ComplexityMetadata(s.Serializer):
    """How difficult the prompt is."""

    complexity = s.FloatField(help_text="0-1; below 0.3 simple, below 0.7 moderate, else complex")
    token_count = s.IntegerField(help_text="estimated input tokens")


class DeferredBody(s.Serializer):
    """A request that is answered later."""

    id = s.UUIDField()
    object = s.CharField()
    status = s.ChoiceField(DeferredRequest.State.choices)
    created_at = s.DateTimeField()
    deadline = s.DateTimeField()
    ended_at = s.DateTimeField(allow_null=True)
    url = s.CharField()
    provider = s.CharField(help_text="The provider that answers or is to answer.")
    model = s.CharField()
    cost = s.FloatField(allow_null=True, help_text="USD, once it is answered.")
    savings = s.FloatField(allow_null=True)
    status_code = s.IntegerField(
        required=False, help_text="The HTTP status of the answer, once the request has ended."
    )
    result = s.JSONField(
        required=False, help_text="The answer or the error, in the format of the request's API."
    )


class CompleteBody(s.Serializer):
    """The answer to a prompt, with the routing decision and the cost."""

    response = s.CharField()
    provider = s.CharField()
    model = s.CharField()
    strategy_used = s.CharField()
    confidence = s.CharField()
    complexity_metadata = ComplexityMetadata()
    routing_metadata = s.DictField()
    tokens_in = s.IntegerField()
    tokens_out = s.IntegerField()
    cost = s.FloatField(allow_null=True, help_text="USD; null when the price is unknown")
    price_basis = s.ChoiceField(
        choices=["reported", "table", "estimated", "unknown", ""],
        help_text="How the cost is known; empty when nothing was charged",
    )
    list_cost = s.FloatField(
        required=False,
        help_text="USD by the price table, if the provider reported another amount or the call "
        "was paid ahead",
    )
    total_cost_today = s.FloatField(
        allow_null=True, help_text="USD, UTC day; with an API key: of its team, or its own"
    )
    cache_hit = s.BooleanField()
    cache_key = s.CharField(allow_null=True)
    original_cost = s.FloatField(
        allow_null=True, help_text="USD; the cost of the call that produced the answer"
    )
    savings = s.FloatField(allow_null=True, help_text="USD saved on this request")
    request_id = s.UUIDField()
    tokenizer_tokens_in = s.IntegerField(required=False, allow_null=True)
    tokenizer_tokens_out = s.IntegerField(required=False, allow_null=True)
    tokenizer_bytes_per_token = s.FloatField(required=False, allow_null=True)
    tokenizer_tokens_per_byte = s.FloatField(required=False, allow_null=True)
    tokenizer_note = s.CharField(required=False)


class DecisionBody(s.Serializer):
    """The chosen model and why it was chosen."""

    provider = s.CharField()
    model = s.CharField()
    confidence = s.CharField()
    strategy_used = s.CharField()
    reasoning = s.CharField()
    fallback_used = s.BooleanField()


class RecommendationBody(s.Serializer):
    """The model that hybrid routing would choose."""

    provider = s.CharField()
    model = s.CharField()
    confidence = s.CharField()
    strategy_used = s.CharField()
    reasoning = s.CharField()
    metadata = s.DictField()


class RoutingDecisionBody(s.Serializer):
    """A routing decision and the figures behind it."""

    decision = DecisionBody()
    metadata = s.DictField()


class CostSavingsBody(s.Serializer):
    """Savings of the period, in USD."""

    baseline = s.CharField(help_text="what the requests are compared with, in words")
    total_saved = s.FloatField()
    saved_low = s.FloatField(
        allow_null=True,
        help_text="lower end of the 95 % confidence interval of what as many requests of this "
        "traffic are expected to save; null: see no_interval",
    )
    saved_high = s.FloatField(allow_null=True, help_text="upper end of that interval")
    next_saved_low = s.FloatField(
        allow_null=True,
        help_text="with 95 % confidence, as many new requests of this traffic save at least this",
    )
    next_saved_high = s.FloatField(allow_null=True, help_text="and at most this")
    varies_by = s.ChoiceField(
        ["request", "session", "user", "key", "day"],
        allow_null=True,
        help_text="what varies most: requests that share it count together in the intervals",
    )
    no_interval = s.CharField(
        allow_blank=True, help_text="why there is no interval; empty if there is one"
    )
    percent_saved = s.FloatField()
    intelligent_cost = s.FloatField()
    baseline_cost = s.FloatField(
        help_text="the same requests on their baseline: the model asked for, else BASELINE_MODEL"
    )
    routing_saved = s.FloatField()
    cache_saved = s.FloatField()
    failed_requests_cost = s.FloatField(
        help_text="cost of requests without an answer; counts as a loss"
    )
    judging_cost = s.FloatField(
        help_text="cost of judging answers against the baseline's; counts as a loss"
    )
    explored_saved = s.FloatField(help_text="the part of routing_saved from exploration")
    prompt_cache_saved = s.FloatField(
        help_text="by the providers' prompt caches; not in the total, as the baseline saves it too"
    )
    paired_requests = s.IntegerField()
    unpriced_requests = s.IntegerField()
    period_days = s.IntegerField()


class StrategyRow(s.Serializer):
    """Requests of one routing strategy; costs in USD."""

    strategy = s.CharField()
    count = s.IntegerField()
    avg_cost = s.FloatField()
    high_confidence_pct = s.FloatField()


class ConfidenceRow(s.Serializer):
    """Requests of one confidence level; costs in USD."""

    confidence = s.CharField()
    count = s.IntegerField()
    avg_cost = s.FloatField()


class ProviderRow(s.Serializer):
    """Requests of one provider; costs in USD."""

    provider = s.CharField()
    count = s.IntegerField()
    total_cost = s.FloatField()
    avg_cost = s.FloatField()


class RoutingMetricsBody(s.Serializer):
    """Savings of the period, and requests by strategy, confidence and provider."""

    cost_savings = CostSavingsBody()
    by_strategy = StrategyRow(many=True)
    by_confidence = ConfidenceRow(many=True)
    by_provider = ProviderRow(many=True)


class StatsBody(s.Serializer):
    """All recorded usage."""

    overall = s.DictField()
    by_provider = s.ListField(child=s.DictField())
    by_complexity = s.ListField(child=s.DictField())
    recent_requests = s.ListField(child=s.DictField())


class ModelRow(s.Serializer):
    """One model of the catalogue."""

    provider = s.CharField()
    model = s.CharField()
    aliases = s.ListField(child=s.CharField())
    tier = s.CharField()
    enabled = s.BooleanField()
    input_price = s.FloatField(allow_null=True, help_text="USD per million tokens")
    output_price = s.FloatField(allow_null=True, help_text="USD per million tokens")
    cache_read_price = s.FloatField(allow_null=True, help_text="USD per million tokens")
    cache_write_price = s.FloatField(allow_null=True, help_text="USD per million tokens")
    capabilities = s.ListField(child=s.CharField())
    context_window = s.IntegerField(help_text="tokens")
    circuit_state = s.CharField(allow_null=True)


class ProvidersBody(s.Serializer):
    """The enabled providers and all models of the catalogue."""

    enabled_providers = s.ListField(child=s.CharField())
    models = ModelRow(many=True)


class CacheStatsBody(s.Serializer):
    """The size, hits and savings of the response cache; savings in USD."""

    total_entries = s.IntegerField()
    invalidated_entries = s.IntegerField()
    total_hits = s.IntegerField()
    hit_rate_percent = s.FloatField()
    total_savings = s.FloatField()
    popular_queries = s.ListField(child=s.DictField())


class FeedbackBody(s.Serializer):
    """The quality of the answer after this rating."""

    success = s.BooleanField()
    quality_score = s.FloatField(help_text="mean of all ratings of this answer, 0-1")
    invalidated = s.BooleanField()
    message = s.CharField()


class QualityStatsBody(s.Serializer):
    """The quality of answers according to feedback."""

    overall = s.DictField()
    by_provider = s.ListField(child=s.DictField())
    by_model = s.ListField(child=s.DictField())
    best = s.ListField(child=s.DictField())
    worst = s.ListField(child=s.DictField())
    invalidated = s.ListField(child=s.DictField())


class InsightsBody(s.Serializer):
    """What routing has learned for each kind of prompt."""

    total_outcomes = s.IntegerField()
    patterns = s.ListField(child=s.DictField())


class ReadyBody(s.Serializer):
    """Whether this worker accepts requests, and if not, why."""

    status = s.CharField()
    reasons = s.ListField(child=s.CharField())


class HealthBody(s.Serializer):
    """Whether the service can answer requests, and the state of its parts."""

    status = s.CharField()
    version = s.CharField()
    providers_available = s.ListField(child=s.CharField())
    providers_silent = s.ListField(child=s.CharField())
    database = s.CharField()
    cache = s.CharField()
    ledger_journal = s.CharField()
    records = s.CharField()
