"""The input of every strategy, and the interface that a strategy implements."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Protocol

from routing.models import (
    TIERS,
    Candidate,
    ModelOption,
    PromptAnalysis,
    RoutingContext,
    RoutingDecision,
    Tier,
)

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

    def expected_latency(self, option: ModelOption) -> float | None:
        """Return the seconds in which ``option`` is expected to answer; ``None`` if not known."""
        speed_of = self.context.speed
        speed = speed_of(option.ref) if speed_of is not None else None
        if speed is None:
            return None
        return round(speed.seconds(self.expected_output_of(option)), 3)

    def unestimated(self, option: ModelOption, *, chosen: bool, reason: str) -> Candidate:
        """Return ``option`` as a candidate without an estimate of its quality."""
        return Candidate(
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


class Strategy(Protocol):
    """Chooses one of the eligible models of a situation.

    A strategy is deterministic for the same evidence, does not depend on the order of the
    candidates, and does no I/O.
    """

    name: str

    def decide(self, situation: Situation) -> RoutingDecision:
        """Return the decision for one of ``situation.eligible``."""
        ...


def tier_distance(one: Tier, other: Tier) -> int:
    """Return the distance of two tiers: 0, 1 or 2."""
    return abs(TIERS.index(one) - TIERS.index(other))
