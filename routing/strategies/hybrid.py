"""Hybrid: learned routing, validated by complexity."""

from __future__ import annotations

from dataclasses import replace

from routing.models import RoutingDecision
from routing.strategies.base import Situation, tier_distance
from routing.strategies.complexity import ComplexityStrategy
from routing.strategies.learning import LearningStrategy


class HybridStrategy:
    """Follows learning, unless complexity contradicts it.

    Learning's choice with high confidence is ``validated`` if its tier is at most one from
    the prompt's tier, else ``overridden`` by complexity's choice. With medium or low
    confidence, and for exploration, learning's choice is ``experimental`` and its
    confidence at most medium. Without evidence the decision is complexity's choice, as
    ``hybrid_fallback``.
    """

    name = "hybrid"

    def __init__(self, learning: LearningStrategy, complexity: ComplexityStrategy) -> None:
        self._learning = learning
        self._complexity = complexity

    def decide(self, situation: Situation) -> RoutingDecision:
        """Return learning's choice, or complexity's if it overrides or replaces learning's."""
        result = self._learning.learn_about(situation)
        learned = result.choice
        if learned.fallback_used:
            fallback = self._complexity.decide(situation)
            return replace(
                fallback,
                strategy_used="hybrid_fallback",
                reasoning=(
                    f"No outcomes are recorded for this kind of prompt yet. {fallback.reasoning}"
                ),
                fallback_used=True,
                metadata={
                    **fallback.metadata,
                    "fallback_reason": learned.metadata["fallback_reason"],
                },
            )
        if learned.confidence != "high":
            return self._experiment(
                result.explored or learned, "there is little evidence for this kind of prompt"
            )
        tiers = {(o.provider, o.model): o.tier for o in situation.eligible}
        distance = tier_distance(tiers[(learned.provider, learned.model)], situation.analysis.tier)
        if distance <= 1 and result.explored is not None:
            return self._experiment(result.explored, "this request is used for exploration")
        if distance <= 1:
            return replace(
                learned,
                strategy_used="hybrid",
                reasoning=f"{learned.reasoning} Complexity agrees within one tier.",
                metadata={**learned.metadata, "validation": "validated"},
            )
        fallback = self._complexity.decide(situation)
        return replace(
            fallback,
            strategy_used="hybrid",
            reasoning=(
                f"Learning prefers {learned.ref}, which is {distance} tiers "
                f"away from a {situation.analysis.tier} prompt, so complexity decides. "
                f"{fallback.reasoning}"
            ),
            metadata={
                **fallback.metadata,
                "validation": "overridden",
                "rejected_model": {"provider": learned.provider, "model": learned.model},
            },
        )

    @staticmethod
    def _experiment(learned: RoutingDecision, why: str) -> RoutingDecision:
        return replace(
            learned,
            confidence="low" if learned.confidence == "low" else "medium",
            strategy_used="hybrid",
            reasoning=f"{learned.reasoning} This is not certain: {why}.",
            metadata={**learned.metadata, "validation": "experimental"},
        )
