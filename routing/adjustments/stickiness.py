"""A conversation stays with its model while leaving would cost more than it saves.

A provider keeps the conversation it has just read in a prompt cache and reads
it again at a fraction of the price. Another model starts from nothing, so a
switch saves only what it is cheaper by *after* that.
"""

from __future__ import annotations

from routing.adjustments.substitution import substitute
from routing.models import TIERS, RoutingDecision
from routing.strategies.base import Situation


def stay_with_cached_model(decision: RoutingDecision, situation: Situation) -> RoutingDecision:
    """``decision``, or the model that holds the conversation where that is no dearer.

    It must be eligible and of at least the chosen model's tier: a prompt cache
    is no reason to give a hard turn to a weak model. Choices made by name, for
    quality alone, or in order to learn stand.
    """
    held = situation.context.cached_conversation
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
    return substitute(
        decision,
        situation,
        kept,
        because=(
            f"The conversation stays with {kept.ref}: "
            f"{held.cached_tokens} of its tokens are in that provider's prompt cache, "
            "worth more than a switch would save."
        ),
        lost="would lose the conversation's prompt cache",
        won="holds the conversation in its prompt cache",
        stayed=True,
        cached_tokens=held.cached_tokens,
    )
