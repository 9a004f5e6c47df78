"""Complexity, the default: the prompt's score selects a tier, the tier's chain a model."""

from __future__ import annotations

from routing.complexity import MODERATE_BELOW, SIMPLE_BELOW
from routing.models import Candidate, Confidence, ModelOption, RoutingDecision
from routing.strategies.base import Situation

_CLEAR_MARGIN = 0.1
_THIN_MARGIN = 0.03


class ComplexityStrategy:
    """Chooses the first available model of the tier of the prompt's complexity score."""

    name = "complexity"

    def decide(self, situation: Situation) -> RoutingDecision:
        """Return the decision for the first model of the situation's chain."""
        analysis = situation.analysis
        chain = situation.chain
        chosen = chain[0]
        reasoning = (
            f"Complexity {analysis.complexity:.2f} is {analysis.tier}; "
            f"{chosen.ref} is first in that tier's chain."
        )
        if chosen.tier != analysis.tier:
            reasoning = (
                f"Complexity {analysis.complexity:.2f} is {analysis.tier}, but no model of that "
                f"tier is available; {chosen.ref} ({chosen.tier}) is the nearest."
            )
        return RoutingDecision(
            provider=chosen.provider,
            model=chosen.model,
            confidence=self._confidence(situation, chosen),
            strategy_used="complexity",
            reasoning=reasoning,
            metadata={
                "cost_estimate": situation.expected_cost(chosen),
                "quality_score": None,
                "candidates": [
                    self._candidate(situation, option, position)
                    for position, option in enumerate(chain)
                ],
            },
        )

    @staticmethod
    def _confidence(situation: Situation, chosen: ModelOption) -> Confidence:
        """Return high well inside a tier, low at its edge or for a model of another tier."""
        score = situation.analysis.complexity
        margin = min(abs(score - SIMPLE_BELOW), abs(score - MODERATE_BELOW))
        if chosen.tier != situation.analysis.tier or margin < _THIN_MARGIN:
            return "low"
        return "high" if margin >= _CLEAR_MARGIN else "medium"

    @staticmethod
    def _candidate(situation: Situation, option: ModelOption, position: int) -> Candidate:
        if position == 0:
            reason = f"first available for a {situation.analysis.tier} prompt"
        elif option.tier == situation.analysis.tier:
            reason = f"fallback {position} of the {option.tier} tier"
        else:
            reason = f"fallback {position}, from the {option.tier} tier"
        return situation.unestimated(option, chosen=position == 0, reason=reason)
