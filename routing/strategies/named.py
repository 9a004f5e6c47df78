"""Named: the model that the client named."""

from __future__ import annotations

from routing.models import RoutingDecision
from routing.strategies.base import Situation


class NamedStrategy:
    """The model that the client named; several providers may offer it."""

    name = "named"

    def decide(self, situation: Situation) -> RoutingDecision:
        """Return the decision for the first eligible model of that name."""
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
