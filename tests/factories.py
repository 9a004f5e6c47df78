"""Rows, by factory-boy."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from decimal import Decimal

import factory

from analytics.models import (
    Budget,
    CachedResponse,
    Comparison,
    DailyTotal,
    Feedback,
    PriceOverride,
    RequestRecord,
    RoutingMetric,
)
from optimizer.domain.identifiers import new_request_id


class RequestRecordFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = RequestRecord

    id = factory.LazyFunction(new_request_id)
    created_at = factory.LazyFunction(lambda: datetime.now(UTC))
    prompt = factory.Sequence(lambda n: f"What is {n} plus {n}?")
    max_tokens = 1000
    pattern = "factual"
    complexity = 0.1
    tier = "simple"
    strategy = "complexity"
    confidence = "high"
    provider = "claude"
    model = "claude-haiku-5-5"
    tokens_in = 20
    tokens_out = 9
    finish_reason = "stop"
    cost = Decimal("0.0000450000")
    cache_key = factory.LazyAttribute(lambda o: hashlib.sha256(o.prompt.encode()).hexdigest())
    latency_ms = 12.5


class RoutingMetricFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = RoutingMetric

    request = factory.SubFactory(RequestRecordFactory)
    created_at = factory.SelfAttribute("request.created_at")
    provider = factory.SelfAttribute("request.provider")
    model = factory.SelfAttribute("request.model")
    strategy_used = factory.SelfAttribute("request.strategy")
    confidence = factory.SelfAttribute("request.confidence")
    pattern = factory.SelfAttribute("request.pattern")
    complexity = factory.SelfAttribute("request.complexity")
    tier = factory.SelfAttribute("request.tier")
    reasoning = "Complexity 0.10 is simple; claude/claude-haiku-5-5 is first in that tier's chain."
    actual_cost = factory.SelfAttribute("request.cost")
    baseline_cost = Decimal("0.0001000000")
    routing_saved = factory.LazyAttribute(
        lambda o: None if o.actual_cost is None else o.baseline_cost - o.actual_cost
    )
    cache_saved = Decimal(0)
    metadata = factory.LazyAttribute(
        lambda o: {
            "candidates": [
                {
                    "provider": o.provider,
                    "model": o.model,
                    "tier": o.tier,
                    "expected_quality": 0.82,
                    "quality_low": 0.74,
                    "quality_high": 0.9,
                    "sample_size": 17,
                    "expected_cost": "0.0000450000",
                    "chosen": True,
                    "reason": "first available for a simple prompt",
                }
            ]
        }
    )


class CachedResponseFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = CachedResponse

    prompt = factory.Sequence(lambda n: f"What is {n} times {n}?")
    cache_key = factory.LazyAttribute(lambda o: hashlib.sha256(o.prompt.encode()).hexdigest())
    prompt_hash = factory.SelfAttribute("cache_key")
    max_tokens = 1000
    response = "A number."
    finish_reason = "stop"
    provider = "claude"
    model = "claude-haiku-5-5"
    pattern = "factual"
    complexity = 0.1
    tier = "simple"
    tokens_in = 20
    tokens_out = 9
    original_cost = Decimal("0.0000450000")
    baseline_cost = Decimal("0.0000450000")
    created_at = factory.LazyFunction(lambda: datetime.now(UTC))


class FeedbackFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Feedback

    request = factory.SubFactory(RequestRecordFactory)
    rating = 1
    score = 1.0
    provider = factory.SelfAttribute("request.provider")
    model = factory.SelfAttribute("request.model")
    pattern = factory.SelfAttribute("request.pattern")
    tier = factory.SelfAttribute("request.tier")


class ComparisonFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Comparison

    request = factory.SubFactory(RequestRecordFactory)
    source = Comparison.Source.JUDGE
    strategy = "hybrid"
    provider = factory.SelfAttribute("request.provider")
    model = factory.SelfAttribute("request.model")
    pattern = factory.SelfAttribute("request.pattern")
    tier = factory.SelfAttribute("request.tier")
    score = 0.5
    reference_provider = "claude"
    reference_model = "claude-opus-5"
    reference_score = 0.5


class DailyTotalFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = DailyTotal

    date = factory.LazyFunction(lambda: datetime.now(UTC).date())
    provider = "claude"
    model = "claude-haiku-5-5"
    strategy = "complexity"
    requests = 1


class BudgetFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Budget

    name = factory.Sequence(lambda n: f"budget {n}")
    period = "day"
    limit = Decimal(1)


class PriceOverrideFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = PriceOverride

    provider = "claude"
    model = "claude-haiku-5-5"
    input = Decimal(1)
    output = Decimal(2)
    valid_from = factory.LazyFunction(lambda: datetime.now(UTC).date())
