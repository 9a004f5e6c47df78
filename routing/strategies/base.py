"""The input of every strategy, and the interface that a strategy implements."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Protocol

from routing.cache_keeping import leaving_cost
from routing.models import (
    TIERS,
    Candidate,
    ModelOption,
    PromptAnalysis,
    RoutingContext,
    RoutingDecision,
    Tier,
)
from routing.variants import AS_ASKED, VariantOffer, Way

# A completion's expected length in tokens, by the tier of the prompt. Only estimates use it;
# worst cases use the request's own max_tokens.
EXPECTED_OUTPUT_TOKENS: dict[Tier, int] = {"simple": 120, "moderate": 400, "complex": 800}


# For each tier of prompt, the order of the models' tiers: the same, stronger ones, weaker ones.
_CHAIN: dict[Tier, dict[Tier, int]] = {
    "simple": {"simple": 0, "moderate": 1, "complex": 2},
    "moderate": {"moderate": 0, "complex": 1, "simple": 2},
    "complex": {"complex": 0, "moderate": 1, "simple": 2},
}


@dataclass(frozen=True)
class Situation:
    """One request to decide on: its analysis and the models that can serve it.

    ``eligible`` is never empty; ``excluded`` has the other models, each with the reason. ``note``
    is to be added to the decision's reasoning.
    """

    context: RoutingContext
    analysis: PromptAnalysis
    eligible: tuple[ModelOption, ...]
    excluded: tuple[tuple[ModelOption, str], ...] = ()
    note: str = ""

    @cached_property
    def expected_output(self) -> int:
        """The expected length of the completion, in tokens."""
        return min(EXPECTED_OUTPUT_TOKENS[self.analysis.tier], self.context.max_tokens)

    def expected_output_of(self, option: ModelOption) -> int:
        """Return the expected length of an answer of ``option``, in tokens.

        It is what such answers of this model had, where enough of them are known.
        """
        usual = self.context.output_tokens
        learned = usual(option.ref, self.analysis.tier) if usual is not None else None
        return self.expected_output if learned is None else min(learned, self.context.max_tokens)

    @cached_property
    def chain(self) -> tuple[ModelOption, ...]:
        """The eligible models in the order in which complexity would try them.

        The prompt's own tier comes first, in the catalogue's order. Stronger tiers follow,
        the nearest first, because a more expensive answer is better than a bad one. Weaker
        tiers come last.
        """
        if len(self.eligible) == 1:
            return self.eligible
        tier_order = _CHAIN[self.analysis.tier]
        return tuple(
            sorted(self.eligible, key=lambda o: (tier_order[o.tier], o.rank, o.provider, o.model))
        )

    def expected_cost(self, option: ModelOption) -> Decimal | None:
        """Return the cost in USD of this request on ``option``, at the expected length.

        The part of the conversation that is in the provider's prompt cache has the price
        for cached input. The result is ``None`` if a price is unknown.
        """
        cached, cached_tokens = self.context.cached_conversation, 0
        if cached and (cached.provider, cached.model) == (option.provider, option.model):
            cached_tokens = cached.cached_tokens
        output = self.expected_output
        if self.context.output_tokens is not None:
            output = self.expected_output_of(option)
        return option.expected_cost(self.analysis.token_count, output, cached_tokens)

    def ways(self, option: ModelOption) -> list[Way]:
        """Return the ways to ask ``option``, with what is expected of each; as asked is among them.

        Ways that may not be within the limit of latency are left out if another one is.
        """
        source, context = self.context.variants, self.context
        asked = VariantOffer(AS_ASKED, option, context.output_tokens, context.speed)
        offers = [asked] if source is None else [*source.offers(option), asked]
        ways = [self._way(offer, option) for offer in offers]
        limit = context.max_latency
        if limit is not None and len(ways) > 1:
            known = [way for way in ways if way.latency is not None and way.latency <= limit]
            ways = known or [ways[-1]]
        return ways

    def fastest_latency(self, option: ModelOption) -> float | None:
        """Return the seconds of the fastest way to ask ``option``; ``None`` if not known."""
        if self.context.variants is None:
            return self.expected_latency(option)
        known = [way.latency for way in self.ways(option) if way.latency is not None]
        return min(known, default=None)

    def cheapest_way(self, option: ModelOption) -> Way:
        """Return the cheapest way whose answers count as good as those to the request as asked."""
        return min((way for way in self.ways(option) if way.as_good), key=by_weighed_cost)

    def _way(self, offer: VariantOffer, option: ModelOption) -> Way:
        context, tokens = self.context, self.analysis.token_count
        effort = offer.variant.effort or context.effort
        usual = offer.output_tokens
        learned = usual(option.ref, self.analysis.tier) if usual is not None else None
        output = self.expected_output if learned is None else min(learned, context.max_tokens)
        speed = offer.speed(option.ref) if offer.speed is not None else None
        latency = None if speed is None else round(speed.seconds(output), 3)
        if offer.variant.service_tier:
            latency = None  # another tier promises none
        cached, kept, lost = context.cached_conversation, 0, Decimal(0)
        if cached is not None and (cached.provider, cached.model) == option.ref:
            kept = min(cached.cached_tokens, tokens)
            if (effort, offer.variant.service_tier) != (cached.effort, cached.service_tier):
                turns = context.session.expected_turns if context.session is not None else 1.0
                lost = leaving_cost(offer.option, kept, turns)
        cost = offer.option.expected_cost(tokens, output, 0 if lost else kept)
        weighed = offer.option.expected_cost(tokens, output, kept)
        if weighed is not None:
            weighed += lost
        return Way(offer.variant, offer.option, effort, cost, weighed, latency, offer.as_good)

    def expected_latency(self, option: ModelOption) -> float | None:
        """Return the seconds in which ``option`` is expected to answer; ``None`` if not known."""
        speed_of = self.context.speed
        speed = speed_of(option.ref) if speed_of is not None else None
        if speed is None:
            return None
        return round(speed.seconds(self.expected_output_of(option)), 3)

    def unestimated(self, option: ModelOption, *, chosen: bool, reason: str) -> Candidate:
        """Return ``option`` as a candidate without an estimate of its quality."""
        candidate = Candidate(
            provider=option.provider,
            model=option.model,
            tier=option.tier,
            expected_quality=None,
            quality_low=None,
            quality_high=None,
            sample_size=0,
            expected_cost=self.expected_cost(option),
            chosen=chosen,
            reason=reason,
            expected_latency=self.expected_latency(option) if self.context.speed else None,
            effort=self.context.effort,
        )
        if self.context.variants is None:
            return candidate
        return candidate.in_way(self.cheapest_way(option))


class Strategy(Protocol):
    """Chooses one of the eligible models of a situation.

    A strategy is deterministic for the same evidence, does not depend on the order of the
    candidates, and does no I/O.
    """

    name: str

    def decide(self, situation: Situation) -> RoutingDecision:
        """Return the decision for one of ``situation.eligible``."""
        ...


def by_weighed_cost(way: Way) -> tuple[bool, Decimal]:
    """Return the order of ways from the cheapest on; an unknown cost comes last."""
    return way.weighed_cost is None, way.weighed_cost or Decimal(0)


def tier_distance(one: Tier, other: Tier) -> int:
    """Return the distance of two tiers: 0, 1 or 2."""
    return abs(TIERS.index(one) - TIERS.index(other))
