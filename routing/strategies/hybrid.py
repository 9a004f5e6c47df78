"""Learning, validated by complexity."""

from __future__ import annotations

from dataclasses import replace

from routing.models import RoutingDecision
from routing.strategies.base import Situation, tier_distance
from routing.strategies.complexity import ComplexityStrategy
from routing.strategies.learning import LearningStrategy


class HybridStrategy:
    """Trusts learning where complexity agrees or doubt is small; else complexity rules.

    High confidence within one tier of complexity is ``validated``; high but
    further off is ``overridden`` by complexity; medium or low is learning's
    choice, capped at medium, ``experimental``. Without evidence the answer is
    complexity's, as ``hybrid_fallback``.
    """

    name = "hybrid"

    def __init__(self, learning: LearningStrategy, complexity: ComplexityStrategy) -> None:
        self._learning = learning
        self._complexity = complexity

    def decide(self, situation: Situation) -> RoutingDecision:
        learned = self._learning.decide(situation)
        plain = self._complexity.decide(situation)
        if learned.fallback_used:
            return replace(
                plain,
                strategy_used="hybrid_fallback",
                reasoning=f"Nothing learned yet about such prompts. {plain.reasoning}",
                fallback_used=True,
                metadata={
                    **plain.metadata,
                    "fallback_reason": learned.metadata["fallback_reason"],
                },
            )
        if learned.confidence != "high":
            return replace(
                learned,
                confidence="medium" if learned.confidence == "medium" else "low",
                strategy_used="hybrid",
                reasoning=f"{learned.reasoning} Still an experiment: evidence is thin.",
                metadata={**learned.metadata, "validation": "experimental"},
            )
        tiers = {(o.provider, o.model): o.tier for o in situation.eligible}
        apart = tier_distance(tiers[(learned.provider, learned.model)], situation.analysis.tier)
        if apart <= 1:
            return replace(
                learned,
                strategy_used="hybrid",
                reasoning=f"{learned.reasoning} Complexity agrees within one tier.",
                metadata={**learned.metadata, "validation": "validated"},
            )
        return replace(
            plain,
            strategy_used="hybrid",
            reasoning=(
                f"Learning prefers {learned.provider}/{learned.model}, {apart} tiers from a "
                f"{situation.analysis.tier} prompt; complexity overrides it. {plain.reasoning}"
            ),
            metadata={
                **plain.metadata,
                "validation": "overridden",
                "rejected_model": {"provider": learned.provider, "model": learned.model},
            },
        )
