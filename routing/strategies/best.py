"""Best: the highest expected quality."""

from __future__ import annotations

from decimal import Decimal

from routing.models import TIERS, RoutingDecision
from routing.strategies.base import Situation
from routing.strategies.learning import LearningStrategy
from routing.strategies.ranking import ranked_decision

_ZERO = Decimal(0)


class BestStrategy:
    """The highest expected quality, whatever it costs; of equals the cheapest."""

    name = "best"

    def __init__(self, learning: LearningStrategy) -> None:
        self._learning = learning

    def decide(self, situation: Situation) -> RoutingDecision:
        """Return the decision for the model of the highest expected quality."""
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
        return ranked_decision(
            "best",
            weighed,
            "high" if samples >= 20 else "medium",
            f"{best.option.ref} is expected to answer best: {best.quality.mean:.2f} "
            f"({best.quality.low:.2f}-{best.quality.high:.2f}) from {samples} outcomes "
            "and the trained predictor.",
            lambda _: "expected to be no better",
            situation.context.effort,
        )
