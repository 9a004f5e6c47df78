"""Keep a conversation with its model while a switch would cost more than it saves.

A provider keeps a conversation in its prompt cache and reads it again at a fraction of the
price. Another model has to read all of it at the full price, so a switch saves money only
if the other model is cheaper *despite* that.
"""

from __future__ import annotations

from routing.adjustments.substitution import substitute
from routing.models import TIERS, RoutingDecision
from routing.strategies.base import Situation


def stay_with_cached_model(decision: RoutingDecision, situation: Situation) -> RoutingDecision:
    """Return ``decision``, or the model that has the conversation cached, if it costs no more.

    That model must be eligible and of at least the chosen model's tier: a prompt cache is
    no reason to give a hard turn to a weak model. The choice stays if the client named the
    model, if it was made for quality alone, or if it was made to explore.
    """
    cached = situation.context.cached_conversation
    if cached is None or decision.strategy_used in {"named", "best"}:
        return decision
    if decision.metadata.get("explored"):
        return decision
    by_ref = {(option.provider, option.model): option for option in situation.eligible}
    chosen = by_ref[(decision.provider, decision.model)]
    current = by_ref.get((cached.provider, cached.model))
    if current is None or current is chosen or TIERS.index(current.tier) < TIERS.index(chosen.tier):
        return decision
    cost_to_stay, cost_to_switch = situation.expected_cost(current), situation.expected_cost(chosen)
    if cost_to_stay is None or cost_to_switch is None or cost_to_stay > cost_to_switch:
        return decision
    return substitute(
        decision,
        situation,
        current,
        because=(
            f"The conversation stays with {current.ref}: "
            f"{cached.cached_tokens} of its tokens are in that provider's prompt cache, "
            "so a switch would not be cheaper."
        ),
        lost="a switch would lose the conversation's prompt cache",
        won="has the conversation in its prompt cache",
        stayed=True,
        cached_tokens=cached.cached_tokens,
    )
