"""Why spending changed: volume, mix, price, length and caches, which add up to the change.

The cost of one model is a product: all requests, times the model's share of them, times the share
that did not fail, times the share that the response cache did not answer, times the tokens of a
call, times the price of a token without the provider's prompt cache, times what that cache left
of it. The additive logarithmic mean Divisia index (LMDI-I) divides the change of such a product
among its factors without a remainder: each factor gets ``L(c1, c0) * ln(x1 / x0)``, where ``L`` is
the logarithmic mean of the costs (B. W. Ang, "The LMDI approach to decomposition analysis: a
practical guide", Energy Policy 33, 2005, 867-871). Where a cost is zero in one period, the factor
that is zero there gets all of the change: the limit of that formula (B. W. Ang and N. Liu,
"Handling zero values in the logarithmic mean Divisia index decomposition approach", Energy Policy
35, 2007, 238-246). The module is pure: it reads nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from math import log

VOLUME, MIX, FAILURES, RESPONSE_CACHE = "volume", "mix", "failures", "response_cache"
PROMPTS, ANSWERS, PRICE, PROMPT_CACHE = "prompts", "answers", "price", "prompt_cache"
CAUSES = (VOLUME, MIX, PRICE, PROMPTS, ANSWERS, RESPONSE_CACHE, PROMPT_CACHE, FAILURES)
"""All causes: "prompts" and "answers" are their lengths in tokens."""

USUAL_WEIGHT = 4.0
"""The price of an output token in input tokens, for models whose prices are unknown."""

_SMALLEST = Decimal("1e-10")
_Level = tuple[str, float]
"""A cause, and the quantity up to and including its factor."""

Effects = dict[str, Decimal]
"""USD by cause; the causes add up to the change."""


@dataclass(frozen=True, slots=True)
class ModelTraffic:
    """The requests of one model in one period.

    ``failed`` and ``cache_hits`` are among ``requests``; ``cost`` is USD, and ``cache_saved`` the
    USD that the provider's prompt cache saved, negative if writing to it cost more.
    """

    requests: int
    failed: int
    cache_hits: int
    tokens_in: int
    tokens_out: int
    cost: Decimal
    cache_saved: Decimal = Decimal(0)


NO_TRAFFIC = ModelTraffic(0, 0, 0, 0, 0, Decimal(0))


def change_causes(
    before: Mapping[str, ModelTraffic],
    now: Mapping[str, ModelTraffic],
    output_weights: Mapping[str, float] | None = None,
) -> dict[str, Effects]:
    """Return the USD that each cause changed, by model.

    ``output_weights`` says what an output token of a model costs in input tokens; it divides a
    cost among prompts and answers, and the same weight serves both periods, so that another mix of
    their tokens is a matter of length and not of price.
    """
    weights = output_weights or {}
    totals = [sum(one.requests for one in period.values()) for period in (before, now)]
    return {
        model: _effects_of(
            (totals[0], before.get(model, NO_TRAFFIC)),
            (totals[1], now.get(model, NO_TRAFFIC)),
            weights.get(model, USUAL_WEIGHT),
        )
        for model in sorted(before.keys() | now.keys())
    }


def total_effects(effects: Mapping[str, Effects]) -> Effects:
    """Return the sum over all models by cause."""
    return {cause: sum((one[cause] for one in effects.values()), Decimal(0)) for cause in CAUSES}


def _effects_of(
    before: tuple[int, ModelTraffic], now: tuple[int, ModelTraffic], weight: float
) -> Effects:
    effects = dict.fromkeys(CAUSES, 0.0)
    for chain_before, chain_now in _chains(before, now, weight):
        for cause, effect in _divided(chain_before, chain_now):
            effects[cause] += effect
    rounded = {cause: Decimal(effect).quantize(_SMALLEST) for cause, effect in effects.items()}
    # Logarithms are rounded; the largest effect takes what is left, less than a millionth cent.
    change = now[1].cost - before[1].cost
    largest = max(rounded, key=lambda cause: abs(rounded[cause]))
    rounded[largest] += change - sum(rounded.values(), Decimal(0))
    return rounded


def _chains(
    before: tuple[int, ModelTraffic], now: tuple[int, ModelTraffic], weight: float
) -> Iterator[tuple[list[_Level], list[_Level]]]:
    """Yield the products of a model's cost in both periods: of prompts, and of answers.

    A cost without tokens, as of images, cannot be divided: its price is that of a call.
    """
    divisible = all(
        not one.cost or one.tokens_in + weight * one.tokens_out > 0 for _, one in (before, now)
    )
    if not divisible:
        yield _chain(*before, None, 1.0), _chain(*now, None, 1.0)
        return
    for cause in (PROMPTS, ANSWERS):
        shares = (_share(one, cause, weight) for _, one in (before, now))
        yield _chain(*before, cause, next(shares)), _chain(*now, cause, next(shares))


def _share(traffic: ModelTraffic, kind: str, weight: float) -> float:
    """Return the share of the cost that prompts or answers have."""
    answers = weight * traffic.tokens_out
    whole = traffic.tokens_in + answers
    return (traffic.tokens_in if kind == PROMPTS else answers) / whole if whole > 0 else 0.0


def _chain(total: int, traffic: ModelTraffic, kind: str | None, share: float) -> list[_Level]:
    answered = traffic.requests - traffic.failed
    levels: list[_Level] = [
        (VOLUME, total),
        (MIX, traffic.requests),
        (FAILURES, answered),
        (RESPONSE_CACHE, answered - traffic.cache_hits),
    ]
    if kind is not None:
        levels.append((kind, traffic.tokens_in if kind == PROMPTS else traffic.tokens_out))
    whole = float(traffic.cost + traffic.cache_saved)
    return [*levels, (PRICE, whole * share), (PROMPT_CACHE, float(traffic.cost) * share)]


def _divided(before: Sequence[_Level], now: Sequence[_Level]) -> Iterator[tuple[str, float]]:
    """Yield the part of a change that each factor has: LMDI-I, and its limits at zero."""
    cost_before, cost_now = before[-1][1], now[-1][1]
    change = cost_now - cost_before
    if cost_before <= 0 or cost_now <= 0:
        if change:
            absent = before if cost_before <= 0 else now
            yield next(cause for cause, quantity in absent if quantity <= 0), change
        return
    mean = change / log(cost_now / cost_before) if cost_now != cost_before else cost_now
    last = 0.0
    for (cause, first), (_, second) in zip(before, now, strict=True):
        # A quantity that is not known in both periods is no factor; the next one covers it.
        if first > 0 and second > 0:
            ratio = log(second / first)
            yield cause, mean * (ratio - last)
            last = ratio
