"""The ends of the scale: as cheap as can be, as good as can be, or as the client named."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from routing.models import TIERS, Candidate, Confidence, RoutingDecision, StrategyName
from routing.strategies.base import Situation
from routing.strategies.learning import LearningStrategy, Weighed

_ZERO = Decimal(0)


class CheapestStrategy:
    """The lowest expected cost among the models that can serve at all."""

    name = "cheapest"

    def __init__(self, learning: LearningStrategy) -> None:
        self._learning = learning

    def decide(self, situation: Situation) -> RoutingDecision:
        # Weighed from the cheapest to the dearest; a price that is unknown comes last.
        weighed = self._learning.weigh(situation)
        best = weighed[0]
        cost = "at an unknown price" if best.cost is None else f"at about ${best.cost:f}"
        return _decision(
            "cheapest",
            weighed,
            "medium" if best.cost is None else "high",
            f"{best.option.ref} is the cheapest that can serve this request, {cost}.",
            lambda weighed: "dearer" if weighed.cost is not None else "its price is unknown",
        )


class BestStrategy:
    """The highest expected quality, whatever it costs; of equals the cheapest."""

    name = "best"

    def __init__(self, learning: LearningStrategy) -> None:
        self._learning = learning

    def decide(self, situation: Situation) -> RoutingDecision:
        weighed = sorted(
            self._learning.weigh(situation),
            key=lambda w: (
                -w.quality.mean,
                -TIERS.index(w.option.tier),
                w.cost is None,
                w.cost or _ZERO,
                w.option.rank,
            ),
        )
        best = weighed[0]
        samples = best.quality.sample_size
        return _decision(
            "best",
            weighed,
            "high" if samples >= 20 else "medium",
            f"{best.option.ref} is expected to answer best: {best.quality.mean:.2f} "
            f"({best.quality.low:.2f}-{best.quality.high:.2f}) from {samples} outcomes "
            "and what was trained.",
            lambda _: "expected to be no better",
        )


class NamedStrategy:
    """No choice to make: the client named the model. Several providers may offer it."""

    name = "named"

    def decide(self, situation: Situation) -> RoutingDecision:
        chain = situation.chain
        chosen = chain[0]
        return RoutingDecision(
            provider=chosen.provider,
            model=chosen.model,
            confidence="high",
            strategy_used="named",
            reasoning=f"The request named {chosen.ref}.",
            metadata={
                "cost_estimate": situation.expected_cost(chosen),
                "quality_score": None,
                "candidates": [
                    situation.unestimated(
                        option, chosen=option is chosen, reason="named by the request"
                    )
                    for option in chain
                ],
            },
        )


def _decision(
    strategy: StrategyName,
    weighed: list[Weighed],
    confidence: Confidence,
    reasoning: str,
    exclusion_reason: Callable[[Weighed], str],
) -> RoutingDecision:
    """The first of ``weighed``, the rest in this order if it fails."""
    chosen = weighed[0]
    return RoutingDecision(
        provider=chosen.option.provider,
        model=chosen.option.model,
        confidence=confidence,
        strategy_used=strategy,
        reasoning=reasoning,
        metadata={
            "cost_estimate": chosen.cost,
            "quality_score": chosen.quality.mean,
            "order": [{"provider": w.option.provider, "model": w.option.model} for w in weighed],
            "candidates": [
                Candidate(
                    w.option.provider,
                    w.option.model,
                    w.option.tier,
                    w.quality.mean,
                    w.quality.low,
                    w.quality.high,
                    w.quality.sample_size,
                    w.cost,
                    chosen=w is chosen,
                    reason=f"the {strategy}" if w is chosen else exclusion_reason(w),
                )
                for w in weighed
            ],
        },
    )
