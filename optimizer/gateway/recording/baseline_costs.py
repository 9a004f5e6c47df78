"""What a request would have cost on the baseline model, and without the prompt cache."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from operator import attrgetter

from optimizer.domain.analyzed_request import AnalyzedRequest
from optimizer.gateway.recording.deferred_answers import BATCH_TIER
from optimizer.gateway.recording.priced_answer import BaselineCost
from optimizer.pricing.baseline_choice import BaselineChoice
from providers.attempts import UNSERVED
from providers.completion import Completion, Usage
from providers.pricing import PriceBook
from providers.rates import PLACES
from providers.resilience import Attempt
from routing.models import ModelRef, RoutingDecision

_ZERO = Decimal(0)
_MODEL = attrgetter("provider", "model")


def baseline_cost(
    prices: PriceBook,
    baselines: BaselineChoice | None,
    analyzed: AnalyzedRequest,
    decision: RoutingDecision,
    completion: Completion,
    attempts: Sequence[Attempt],
    answer_cost: Decimal | None,
) -> BaselineCost | None:
    """Return the baseline: the model to compare with, priced on this request's tokens.

    It is the model that :class:`BaselineChoice` chooses, else complexity's first choice that
    did not fail. ``None`` if all of them failed.
    """
    request = analyzed.request
    ref = baselines.of(request) if baselines else request.baseline
    if ref is None:
        # A model that answered in the end, after a retry or in another tier, did not fail.
        served = (completion.provider, completion.model)
        failed = {_MODEL(one) for one in attempts if one.error not in UNSERVED} - {served}
        for model in decision.metadata["baseline_chain"]:
            ref = ModelRef(model["provider"], model["model"])
            if ref not in failed:
                break
        else:
            return None
    assert ref is not None
    provider, model = ref
    usage, cost = completion.usage, answer_cost
    batched = request.deferred is not None and usage.service_tier == BATCH_TIER
    first = request.first_tier
    if batched or (first is not None and usage.service_tier == first.service_tier):
        # Without this service, the client would have waited for a call of its own, in the
        # tier that it asked for.
        usage = replace(usage, service_tier="")
        cost = prices.cost(completion.provider, completion.model, usage)
    if usage.beside and any(call.by_gateway for _, call in usage.beside):
        alone = tuple(call for call in usage.beside if not call[1].by_gateway)
        # What the provider charged is for all calls, of which the client would have made one.
        usage = replace(usage, beside=alone, reported_cost=None)
        cost = prices.cost(completion.provider, completion.model, usage)
    reported = usage.reported_cost is not None
    if reported:
        # It is what this provider charged for this model, and says nothing of another.
        usage = replace(usage, reported_cost=None)
    if usage.beside and ref != (completion.provider, completion.model):
        # A tool's own model is not another provider's; it would have cost the same.
        usage = replace(usage, beside=tuple(call for call in usage.beside if not call[0]))
    if ref != (completion.provider, completion.model):
        reported = False
        cost = prices.price(provider, model, usage).cost
    return _priced(prices, provider, model, usage, cost, reported=reported)


def _priced(
    prices: PriceBook,
    provider: str,
    model: str,
    usage: Usage,
    cost: Decimal | None,
    *,
    reported: bool,
) -> BaselineCost:
    if cost is None:
        return BaselineCost(provider, model, None)
    input_cost = prices.price(provider, model, usage, output=False).cost
    if input_cost is None:
        return BaselineCost(provider, model, cost)
    output_cost = cost - input_cost
    if reported:
        # The provider reports one sum; the price table says how much of it is for output.
        listed = prices.cost(provider, model, usage)
        share = (listed - input_cost) / listed if listed else _ZERO
        output_cost = (cost * share).quantize(PLACES)
    return BaselineCost(provider, model, cost, output_cost)


def saved_by_prompt_cache(
    prices: PriceBook, completion: Completion, cost: Decimal | None
) -> Decimal | None:
    """Return the USD saved by the provider's prompt cache, ``None`` if a price is unknown.

    It is negative if writing to the cache cost more than reading from it saved.
    """
    usage = completion.usage
    if usage.reported_cost is not None:
        usage = replace(usage, reported_cost=None)
        cost = prices.cost(completion.provider, completion.model, usage)
    if cost is None or not (usage.cache_read_tokens or usage.cache_write_tokens):
        return None if cost is None else _ZERO
    plain = replace(usage, cache_read_tokens=0, cache_write_tokens=0)
    without = prices.cost(completion.provider, completion.model, plain)
    return None if without is None else without - cost
