"""Prefer the model that an operator's rule names, if it can serve the request."""

from __future__ import annotations

from routing.adjustments.substitution import substitute
from routing.models import RoutingDecision
from routing.rules import names
from routing.strategies.base import Situation


def prefer_rule_model(decision: RoutingDecision, situation: Situation) -> RoutingDecision:
    """Return ``decision``, or the first preferred model in complexity's order.

    A model that the client named stays.
    """
    rule = situation.context.effect.preferred
    if rule is None or decision.strategy_used == "named":
        return decision
    if names(rule.models, decision.provider, decision.model):
        return decision
    for option in situation.chain:
        if names(rule.models, option.provider, option.model):
            return substitute(
                decision,
                situation,
                option,
                because=f'The rule "{rule.name}" prefers {option.ref}.',
                lost=f'the rule "{rule.name}" prefers another model',
                won=f'preferred by the rule "{rule.name}"',
                preferred_by=rule.name,
            )
    return decision
