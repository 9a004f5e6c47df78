"""What every strategy is given and what it must return."""

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

# A completion's expected length by tier, in tokens, where nothing better is known.
# Only estimates use it; worst cases use the request's own max_tokens.
EXPECTED_OUTPUT_TOKENS: dict[Tier, int] = {"simple": 120, "moderate": 400, "complex": 800}


# For each tier of prompt, the place of each tier of model: its own, stronger ones, weaker ones.
_CHAIN: dict[Tier, dict[Tier, int]] = {
    "simple": {"simple": 0, "moderate": 1, "complex": 2},
    "moderate": {"moderate": 0, "complex": 1, "simple": 2},
    "complex": {"complex": 0, "moderate": 1, "simple": 2},
}


@dataclass(frozen=True)
class Situation:
    """One request ready to be decided: its analysis and the models that can serve it.

    ``eligible`` is never empty; ``excluded`` maps "provider/model" to why it is out.
    """

    context: RoutingContext
    analysis: PromptAnalysis
    eligible: tuple[ModelOption, ...]
    excluded: tuple[tuple[ModelOption, str], ...] = ()

    @cached_property
    def expected_output(self) -> int:
        """Tokens that the completion is expected to have."""
        return min(EXPECTED_OUTPUT_TOKENS[self.analysis.tier], self.context.max_tokens)

    @cached_property
    def chain(self) -> tuple[ModelOption, ...]:
        """Eligible models in the order complexity would try them.

        The prompt's own tier first, in the catalogue's order; then stronger tiers,
        nearest first, because a dearer answer beats a poor one; then weaker tiers.
        """
        if len(self.eligible) == 1:
            return self.eligible
        place = _CHAIN[self.analysis.tier]
        return tuple(
            sorted(self.eligible, key=lambda o: (place[o.tier], o.rank, o.provider, o.model))
        )

    def expected_cost(self, option: ModelOption) -> Decimal | None:
        """USD for this request on ``option`` at the expected completion length.

        What the provider still has of the conversation is priced as read from
        its prompt cache.
        """
        held, cached = self.context.cached_conversation, 0
        if held is not None and (held.provider, held.model) == (option.provider, option.model):
            cached = held.cached_tokens
        return option.expected_cost(self.analysis.token_count, self.expected_output, cached)

    def unestimated(self, option: ModelOption, *, chosen: bool, reason: str) -> Candidate:
        """``option`` as a candidate of whom no quality was estimated."""
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
        )


class Strategy(Protocol):
    """Chooses one of ``situation.eligible``.

    Must be deterministic for equal evidence and indifferent to the order of
    candidates, and must not do I/O.
    """

    name: str

    def decide(self, situation: Situation) -> RoutingDecision: ...


def tier_distance(one: Tier, other: Tier) -> int:
    """How many tiers apart: 0, 1 or 2."""
    return abs(TIERS.index(one) - TIERS.index(other))
