"""Replace the model that a strategy chose, with reasons for both models."""

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
    """Return ``decision`` with ``option`` as the chosen model.

    ``because`` is added to the decision's reasoning. ``lost`` is the reason of the model
    that was chosen before, ``won`` that of ``option``.
    """
    chosen = (decision.provider, decision.model)
    reasons = {chosen: (False, lost), (option.provider, option.model): (True, won)}
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
                c._replace(chosen=reasons[ref][0], reason=reasons[ref][1])
                if (ref := (c.provider, c.model)) in reasons
                else c
                for c in decision.metadata.get("candidates", [])
            ],
            **metadata,
        },
    )
