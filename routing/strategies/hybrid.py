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
        """Return learning's or complexity's choice; the metadata's ``validation`` says why."""
        result = self._learning.learn_about(situation)
        learned = result.choice
        if learned.fallback_used:
            plain = self._complexity.decide(situation)
            return replace(
                plain,
                strategy_used="hybrid_fallback",
                reasoning=(
                    f"No outcomes are recorded for this kind of prompt yet. {plain.reasoning}"
                ),
                fallback_used=True,
                metadata={
                    **plain.metadata,
                    "fallback_reason": learned.metadata["fallback_reason"],
                },
            )
        if learned.confidence != "high":
            return self._experiment(
                result.explored or learned, "there is little evidence for this kind of prompt"
            )
        tiers = {(o.provider, o.model): o.tier for o in situation.eligible}
        apart = tier_distance(tiers[(learned.provider, learned.model)], situation.analysis.tier)
        if apart <= 1 and result.explored is not None:
            return self._experiment(result.explored, "this request is used for exploration")
        if apart <= 1:
            return replace(
                learned,
                strategy_used="hybrid",
                reasoning=f"{learned.reasoning} Complexity agrees within one tier.",
                metadata={**learned.metadata, "validation": "validated"},
            )
        plain = self._complexity.decide(situation)
        return replace(
            plain,
            strategy_used="hybrid",
            reasoning=(
                f"Learning prefers {learned.provider}/{learned.model}, but this model is {apart} "
                f"tiers away from a {situation.analysis.tier} prompt, so complexity decides. "
                f"{plain.reasoning}"
            ),
            metadata={
                **plain.metadata,
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
            reasoning=f"{learned.reasoning} This choice is an experiment: {why}.",
            metadata={**learned.metadata, "validation": "experimental"},
        )
