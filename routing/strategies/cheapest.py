"""Cheapest: the lowest expected cost."""

from __future__ import annotations

from routing.models import RoutingDecision
from routing.strategies.base import Situation
from routing.strategies.learning import LearningStrategy
from routing.strategies.ranking import ranked_decision


class CheapestStrategy:
    """The lowest expected cost among the models that can serve at all."""

    name = "cheapest"

    def __init__(self, learning: LearningStrategy) -> None:
        self._learning = learning

    def decide(self, situation: Situation) -> RoutingDecision:
        """Return the decision for the cheapest eligible model."""
        # Weighed from the cheapest to the most expensive; an unknown price comes last.
        weighed = self._learning.weigh(situation)
        best = weighed[0]
        cost = "at an unknown price" if best.cost is None else f"at about ${best.cost:f}"
        return ranked_decision(
            "cheapest",
            weighed,
            "medium" if best.cost is None else "high",
            f"{best.option.ref} is the cheapest that can serve this request, {cost}.",
            lambda weighed: (
                "more expensive" if weighed.cost is not None else "its price is unknown"
            ),
            situation.context.effort,
        )
