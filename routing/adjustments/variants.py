"""Say in a decision in which other way its model is asked, if levers chose one."""

from __future__ import annotations

from dataclasses import replace

from routing.models import Candidate, RoutingDecision
from routing.strategies.base import Situation


def note_variant(decision: RoutingDecision, situation: Situation) -> RoutingDecision:
    """Return ``decision`` with its ``variant``, if the model is not asked as the request asks.

    The variant has an ``effort``, a ``service_tier`` or both, and ``as_asked``: the expected cost
    in USD of the same model without it.
    """
    candidates: list[Candidate] = list(decision.metadata.get("candidates", ()))
    chosen = next((c for c in candidates if (c.provider, c.model) == decision.ref), None)
    if chosen is None:
        return decision
    variant: dict[str, object] = {}
    if chosen.effort != situation.context.effort:
        variant["effort"] = chosen.effort
    if chosen.service_tier:
        variant["service_tier"] = chosen.service_tier
    if not variant:
        return decision
    option = next(o for o in situation.eligible if o.ref == decision.ref)
    variant["as_asked"] = situation.expected_cost(option)
    words = " and ".join(
        word
        for word in (
            f"at {chosen.effort} effort" if "effort" in variant else "",
            f"in the {chosen.service_tier} tier" if chosen.service_tier else "",
        )
        if word
    )
    return replace(
        decision,
        reasoning=f"{decision.reasoning} It is asked {words}.",
        metadata={
            **decision.metadata, "variant": variant, "cost_estimate": chosen.expected_cost,
        },
    )  # fmt: skip
