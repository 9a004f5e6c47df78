"""A conversation stays with its model while leaving would cost more than it saves.

A provider keeps the conversation it has just read in a prompt cache and reads
it again at a fraction of the price. Another model starts from nothing, so a
switch saves only what it is cheaper by *after* that.
"""

from __future__ import annotations

from dataclasses import replace

from routing.models import TIERS, ModelOption, RoutingDecision
from routing.strategies.base import Situation


def stay_with_held(decision: RoutingDecision, situation: Situation) -> RoutingDecision:
    """``decision``, or the model that holds the conversation where that is no dearer.

    It must be eligible and of at least the chosen model's tier: a prompt cache
    is no reason to give a hard turn to a weak model. Choices made by name, for
    quality alone, or in order to learn stand.
    """
    held = situation.context.held
    if held is None or decision.strategy_used in {"named", "best"}:
        return decision
    if decision.metadata.get("explored"):
        return decision
    by_ref = {(option.provider, option.model): option for option in situation.eligible}
    chosen = by_ref[(decision.provider, decision.model)]
    kept = by_ref.get((held.provider, held.model))
    if kept is None or kept is chosen or TIERS.index(kept.tier) < TIERS.index(chosen.tier):
        return decision
    stay, leave = situation.expected_cost(kept), situation.expected_cost(chosen)
    if stay is None or leave is None or stay > leave:
        return decision
    return replace(
        decision,
        provider=kept.provider,
        model=kept.model,
        reasoning=(
            f"{decision.reasoning} The conversation stays with {kept.ref}: "
            f"{held.cached_tokens} of its tokens are in that provider's prompt cache, "
            "worth more than a switch would save."
        ),
        metadata={
            **decision.metadata,
            "cost_estimate": stay,
            "quality_score": None,
            "stayed": True,
            "cached_tokens": held.cached_tokens,
            "rejected_model": {"provider": chosen.provider, "model": chosen.model},
            "candidates": _rewritten(decision, chosen, kept),
        },
    )


def _rewritten(decision: RoutingDecision, chosen: ModelOption, kept: ModelOption) -> list[object]:
    """The candidates with the choice moved, and why."""
    moved = {
        (chosen.provider, chosen.model): (False, "would lose the conversation's prompt cache"),
        (kept.provider, kept.model): (True, "holds the conversation in its prompt cache"),
    }
    return [
        c._replace(chosen=moved[ref][0], reason=moved[ref][1])
        if (ref := (c.provider, c.model)) in moved
        else c
        for c in decision.metadata.get("candidates", [])
    ]
