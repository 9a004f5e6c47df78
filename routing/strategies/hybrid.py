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
    choice, capped at medium, ``experimental``, and so is one made to explore.
    Without evidence the answer is complexity's, as ``hybrid_fallback``.
    """

    name = "hybrid"

    def __init__(self, learning: LearningStrategy, complexity: ComplexityStrategy) -> None:
        self._learning = learning
        self._complexity = complexity

    def decide(self, situation: Situation) -> RoutingDecision:
        known = self._learning.learn_about(situation)
        learned = known.choice
        if learned.fallback_used:
            plain = self._complexity.decide(situation)
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
            return self._experiment(known.explored or learned, "evidence is thin")
        tiers = {(o.provider, o.model): o.tier for o in situation.eligible}
        apart = tier_distance(tiers[(learned.provider, learned.model)], situation.analysis.tier)
        if apart <= 1 and known.explored is not None:
            return self._experiment(known.explored, "this request explores")
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
                f"Learning prefers {learned.provider}/{learned.model}, {apart} tiers from a "
                f"{situation.analysis.tier} prompt; complexity overrides it. {plain.reasoning}"
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
            reasoning=f"{learned.reasoning} An experiment: {why}.",
            metadata={**learned.metadata, "validation": "experimental"},
        )
