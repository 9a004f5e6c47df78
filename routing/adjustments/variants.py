"""Say in a decision in which other way its model is asked, if levers chose one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

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
    return replace(
        decision,
        reasoning=f"{decision.reasoning} {_words_of(variant)}",
        metadata={
            **decision.metadata, "variant": variant, "cost_estimate": chosen.expected_cost,
        },
    )  # fmt: skip


def _words_of(variant: Mapping[str, object]) -> str:
    words = [
        f"at {variant['effort']} effort" if "effort" in variant else "",
        f"in the {variant['service_tier']} tier" if "service_tier" in variant else "",
    ]
    return f"It is asked {' and '.join(filter(None, words))}."


def _untiered(
    candidate: Candidate | dict[str, Any], cost: Decimal | None
) -> Candidate | dict[str, Any]:
    """Return the chosen candidate without a tier, at its ``cost``, and any other as it is."""
    if isinstance(candidate, dict):
        if not candidate.get("chosen") or not candidate.get("service_tier"):
            return candidate
        kept = {key: value for key, value in candidate.items() if key != "service_tier"}
        return {**kept, "expected_cost": cost}
    if not candidate.chosen or not candidate.service_tier:
        return candidate
    return candidate._replace(service_tier="", expected_cost=cost)


def without_tier(decision: RoutingDecision) -> RoutingDecision:
    """Return the decision for a request that is sent in no tier of its own, as in a batch."""
    named = (decision.metadata.get(name) or {} for name in ("variant", "first_choice"))
    if not any("service_tier" in variant for variant in named):
        return decision
    metadata, reasoning = dict(decision.metadata), decision.reasoning
    for name in ("variant", "first_choice"):
        variant = metadata.get(name)
        if not variant or "service_tier" not in variant:
            continue
        kept = {key: value for key, value in variant.items() if key != "service_tier"}
        if name == "variant":
            words = _words_of(kept) if "effort" in kept else ""
            reasoning = reasoning.replace(_words_of(variant), words).strip()
        if "effort" in kept:
            metadata[name] = kept
            continue
        del metadata[name]
        if name == "variant":
            metadata["cost_estimate"] = variant["as_asked"]
    metadata["candidates"] = [
        _untiered(one, metadata.get("cost_estimate")) for one in metadata.get("candidates", ())
    ]
    return replace(decision, reasoning=reasoning, metadata=metadata)
