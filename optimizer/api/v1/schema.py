"""Shapes of answers, for the OpenAPI document, and hooks that shape the document itself."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers as s


def keep_versioned_paths(endpoints: list[Any], **_: Any) -> list[Any]:
    """The document lists each endpoint once, ours under /api/v1; the root paths are the same."""
    return [endpoint for endpoint in endpoints if endpoint[0].startswith(("/api/v1/", "/v1/"))]


def close_inputs(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """What clients send may hold no other field than the document names."""
    for name, schema in result["components"]["schemas"].items():
        if name.endswith("InputRequest"):
            schema["additionalProperties"] = False
    return result


def feedback_is_one_verdict_on_one_answer(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """What the serializer checks across its fields."""

    def one_of(*fields: str) -> dict[str, Any]:
        return {"oneOf": [{"required": [field]} for field in fields]}

    schema = result["components"]["schemas"]["FeedbackInputRequest"]
    schema["allOf"] = [one_of("request_id", "cache_key"), one_of("rating", "score")]
    return result


def say_what_the_door_says(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Keys, scopes and limits are looked at before any view is asked: see server/gatekeeper.py."""
    ours = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorBody"}}}}
    for path, operations in result["paths"].items():
        if path.endswith(("/health", "/ready")):
            continue
        for operation in operations.values():
            if "requestBody" in operation:
                operation["requestBody"]["required"] = True
            responses = operation["responses"]
            error = {k: v for k, v in responses.get("400", ours).items() if k != "description"}
            for status, why in _AT_THE_DOOR.items():
                responses.setdefault(status, {**error, "description": why})
    return result


_AT_THE_DOOR = {
    "401": "An API key is needed, or the one shown is not valid.",
    "403": "This API key may not do that, or not from there.",
    "429": "A limit or a budget is reached.",
    "503": "It cannot be served just now.",
}


class ErrorBody(s.Serializer):
    detail = s.CharField()
    status_code = s.IntegerField()
    errors = s.DictField(child=s.ListField(child=s.CharField()), required=False)  # type: ignore[assignment]
    failures = s.ListField(child=s.DictField(), required=False)
    request_id = s.UUIDField(required=False)
    code = s.CharField(required=False, help_text="budget_exceeded")
    resets_at = s.DateTimeField(
        required=False, allow_null=True, help_text="When a budget may have room again."
    )


class ComplexityMetadata(s.Serializer):
    complexity = s.FloatField(help_text="0-1; below 0.3 simple, below 0.7 moderate, else complex")
    token_count = s.IntegerField(help_text="estimated input tokens")


class CompleteBody(s.Serializer):
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
    total_cost_today = s.FloatField(allow_null=True, help_text="USD, UTC day")
    cache_hit = s.BooleanField()
    cache_key = s.CharField(allow_null=True)
    original_cost = s.FloatField(allow_null=True, help_text="USD of the call that made the answer")
    savings = s.FloatField(allow_null=True, help_text="USD saved on this request")
    request_id = s.UUIDField()
    tokenizer_tokens_in = s.IntegerField(required=False, allow_null=True)
    tokenizer_tokens_out = s.IntegerField(required=False, allow_null=True)
    tokenizer_bytes_per_token = s.FloatField(required=False, allow_null=True)
    tokenizer_tokens_per_byte = s.FloatField(required=False, allow_null=True)
    tokenizer_note = s.CharField(required=False)


class DecisionBody(s.Serializer):
    provider = s.CharField()
    model = s.CharField()
    confidence = s.CharField()
    strategy_used = s.CharField()
    reasoning = s.CharField()
    fallback_used = s.BooleanField()


class RecommendationBody(s.Serializer):
    provider = s.CharField()
    model = s.CharField()
    confidence = s.CharField()
    strategy_used = s.CharField()
    reasoning = s.CharField()
    metadata = s.DictField()


class RoutingDecisionBody(s.Serializer):
    decision = DecisionBody()
    metadata = s.DictField()


class CostSavingsBody(s.Serializer):
    total_saved = s.FloatField()
    saved_low = s.FloatField(
        allow_null=True, help_text="bounds total_saved with 95 % confidence; null: too few requests"
    )
    saved_high = s.FloatField(allow_null=True)
    percent_saved = s.FloatField()
    intelligent_cost = s.FloatField()
    baseline_cost = s.FloatField(help_text="the same requests priced on complexity's choice")
    routing_saved = s.FloatField()
    cache_saved = s.FloatField()
    failed_requests_cost = s.FloatField(help_text="of requests that nobody answered: a loss")
    judging_cost = s.FloatField(help_text="of answers judged beside the baseline's: a loss")
    explored_saved = s.FloatField(help_text="the part of routing_saved made while exploring")
    prompt_cache_saved = s.FloatField(
        help_text="by the providers' prompt caches; the baseline has it too, so not in the total"
    )
    paired_requests = s.IntegerField()
    unpriced_requests = s.IntegerField()
    period_days = s.IntegerField()


class StrategyRow(s.Serializer):
    strategy = s.CharField()
    count = s.IntegerField()
    avg_cost = s.FloatField()
    high_confidence_pct = s.FloatField()


class ConfidenceRow(s.Serializer):
    confidence = s.CharField()
    count = s.IntegerField()
    avg_cost = s.FloatField()


class ProviderRow(s.Serializer):
    provider = s.CharField()
    count = s.IntegerField()
    total_cost = s.FloatField()
    avg_cost = s.FloatField()


class RoutingMetricsBody(s.Serializer):
    cost_savings = CostSavingsBody()
    by_strategy = StrategyRow(many=True)
    by_confidence = ConfidenceRow(many=True)
    by_provider = ProviderRow(many=True)


class StatsBody(s.Serializer):
    overall = s.DictField()
    by_provider = s.ListField(child=s.DictField())
    by_complexity = s.ListField(child=s.DictField())
    recent_requests = s.ListField(child=s.DictField())


class ModelRow(s.Serializer):
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
    enabled_providers = s.ListField(child=s.CharField())
    models = ModelRow(many=True)


class CacheStatsBody(s.Serializer):
    total_entries = s.IntegerField()
    invalidated_entries = s.IntegerField()
    total_hits = s.IntegerField()
    hit_rate_percent = s.FloatField()
    total_savings = s.FloatField()
    popular_queries = s.ListField(child=s.DictField())


class FeedbackBody(s.Serializer):
    success = s.BooleanField()
    quality_score = s.FloatField(help_text="mean of all verdicts on this answer, 0-1")
    invalidated = s.BooleanField()
    message = s.CharField()


class QualityStatsBody(s.Serializer):
    overall = s.DictField()
    by_provider = s.ListField(child=s.DictField())
    by_model = s.ListField(child=s.DictField())
    best = s.ListField(child=s.DictField())
    worst = s.ListField(child=s.DictField())
    invalidated = s.ListField(child=s.DictField())


class InsightsBody(s.Serializer):
    total_outcomes = s.IntegerField()
    patterns = s.ListField(child=s.DictField())


class ReadyBody(s.Serializer):
    status = s.CharField()
    reasons = s.ListField(child=s.CharField())


class HealthBody(s.Serializer):
    status = s.CharField()
    version = s.CharField()
    providers_available = s.ListField(child=s.CharField())
    database = s.CharField()
    cache = s.CharField()
    ledger_journal = s.CharField()
