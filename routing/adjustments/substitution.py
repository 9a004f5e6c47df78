"""Another model put in the place of the one that a strategy chose, and both explained."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from routing.models import ModelOption, RoutingDecision
from routing.strategies.base import Situation


def substitute(
    decision: RoutingDecision,
    situation: Situation,
    option: ModelOption,
    *,
    because: str,
    lost: str,
    won: str,
    **metadata: Any,
) -> RoutingDecision:
    """``decision`` with ``option`` chosen; ``lost`` and ``won`` are the candidates' reasons."""
    chosen = (decision.provider, decision.model)
    told = {chosen: (False, lost), (option.provider, option.model): (True, won)}
    return replace(
        decision,
        provider=option.provider,
        model=option.model,
        reasoning=f"{decision.reasoning} {because}",
        metadata={
            **decision.metadata,
            "cost_estimate": situation.expected_cost(option),
            "quality_score": None,
            "rejected_model": {"provider": chosen[0], "model": chosen[1]},
            "candidates": [
                c._replace(chosen=told[ref][0], reason=told[ref][1])
                if (ref := (c.provider, c.model)) in told
                else c
                for c in decision.metadata.get("candidates", [])
            ],
            **metadata,
        },
    )
