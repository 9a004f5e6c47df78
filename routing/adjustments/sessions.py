"""Choose a model for one turn of a session with the turns that are still to come in mind.

The cost of a model over the rest of a session is that of this turn and of the turns expected
after it. Where the conversation is in a provider's prompt cache, a turn reads it from there;
another model first has to read all of it, and write it to a cache of its own:

    now   = write(input - cached) + read(cached) + output
    later = turns * (read(input) + write(new input of a turn) + output of a turn)
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from routing.adjustments.substitution import substitute
from routing.models import TIERS, ModelOption, ModelRef, RoutingDecision, SessionState
from routing.strategies.base import Situation

_KEEPS = frozenset({"named", "best", "cheapest"})
"""Strategies that the client or the kind of turn asked for by name."""
_LONG_CONTEXT = 2
"""A compaction goes to a model whose window holds this many times its input, if there is one."""


def keep_session_model(
    decision: RoutingDecision, situation: Situation, session: SessionState
) -> RoutingDecision:
    """Return the decision for one turn of ``session``.

    - Reasoning that only the session's model can read keeps the turn with that model.
    - A session that goes round in circles is moved to a stronger model, once, unless such moves
      have not helped, or the lot holds it back to compare them with.
    - A turn that is harder than the last one does not go to a weaker model.
    - A switch must save more over the turns still expected than the prompt cache is worth.
    """
    if decision.strategy_used in _KEEPS:
        return decision
    by_ref = {option.ref: option for option in situation.eligible}
    current, chosen = by_ref.get(session.ref), by_ref[decision.ref]
    if current is None:
        return decision
    if session.stalled and not session.moved_up and not session.sealed:
        stronger = _stronger(situation, current, session.unhelpful)
        if stronger is not None and not session.held_back:
            return _move_up(decision, situation, stronger, current)
        held_back = stronger is not None
        decision = replace(decision, metadata={**decision.metadata, "held_back": held_back})
    return _without_loss(decision, situation, session, current, chosen)


def _without_loss(
    decision: RoutingDecision,
    situation: Situation,
    session: SessionState,
    current: ModelOption,
    chosen: ModelOption,
) -> RoutingDecision:
    """Return the decision, or one for the session's model where a switch would lose by it."""
    if chosen is current:
        return decision
    reason = _must_stay(situation, session, current, chosen)
    if reason:
        return _stay(decision, situation, current, *reason)
    if decision.metadata.get("explored"):
        return decision
    if TIERS.index(chosen.tier) > TIERS.index(current.tier):
        return decision  # a hard turn goes to a strong model, whatever is in a cache
    stay, switch = (_cost(option, situation, session) for option in (current, chosen))
    if stay is None or switch is None or switch < stay:
        return decision
    return _stay(
        decision, situation, current,
        f"The session stays with {current.ref}: with {session.cached_tokens} tokens in its prompt "
        f"cache and about {session.expected_turns:.0f} turns to come, it costs about ${stay:.4f}, "
        f"and {chosen.ref} ${switch:.4f}.",
        "a switch would not pay off over the rest of the session",
    )  # fmt: skip


def _must_stay(
    situation: Situation, session: SessionState, current: ModelOption, chosen: ModelOption
) -> tuple[str, str] | None:
    """Return why the turn must not leave its model, for the decision and for the other model."""
    if session.sealed:
        because = (
            f"The turn stays with {current.ref}, because the conversation holds reasoning that "
            "only this model can read."
        )
        return because, "the conversation holds another model's reasoning"
    if TIERS.index(chosen.tier) >= TIERS.index(current.tier):
        return None
    if session.moved_up:
        return (
            f"The session was moved up to {current.ref} and stays there.",
            "the session was moved up",
        )
    if TIERS.index(situation.analysis.tier) > TIERS.index(session.tier):
        because = (
            f"The turn stays with {current.ref}: it is harder than the last one, which is no time "
            "for a weaker model."
        )
        return because, "weaker than the session's model, on a harder turn"
    return None


def prefer_long_context(decision: RoutingDecision, situation: Situation) -> RoutingDecision:
    """Return the decision for a compaction: a model whose context window is long enough.

    The cheapest model of at least the chosen model's tier, if the chosen one has a short window.
    """
    needed = _LONG_CONTEXT * situation.analysis.token_count
    by_ref = {option.ref: option for option in situation.eligible}
    chosen = by_ref[decision.ref]
    if decision.strategy_used == "named" or chosen.context_window >= needed:
        return decision
    longer = [
        option
        for option in situation.eligible
        if option.context_window >= needed
        and TIERS.index(option.tier) >= TIERS.index(chosen.tier)
        and situation.expected_cost(option) is not None
    ]
    if not longer:
        return decision
    option = min(longer, key=lambda o: (situation.expected_cost(o), o.rank, o.provider, o.model))
    return substitute(
        decision, situation, option,
        because=f"A compaction goes to a long context: {option.ref} holds "
        f"{option.context_window} tokens.",
        lost="its context is short for a compaction",
        won="has a long context, for a compaction",
    )  # fmt: skip


def _cost(option: ModelOption, situation: Situation, session: SessionState) -> Decimal | None:
    """Return the expected cost in USD of the rest of the session on ``option``."""
    tokens = situation.analysis.token_count
    cached = min(session.cached_tokens, tokens) if option.ref == session.ref else 0
    now = option.turn_cost(cached, tokens - cached, situation.expected_output_of(option))
    later = option.turn_cost(tokens, session.turn_input, session.turn_output)
    if now is None or later is None:
        return None
    return now + later * Decimal(str(round(session.expected_turns, 3)))


def _stronger(
    situation: Situation, current: ModelOption, unhelpful: frozenset[ModelRef]
) -> ModelOption | None:
    """Return the cheapest eligible model of the next stronger tier that has a helpful one."""
    for tier in TIERS[TIERS.index(current.tier) + 1 :]:
        options = [
            option
            for option in situation.eligible
            if option.tier == tier and option.ref not in unhelpful
        ]
        if options:
            return min(options, key=lambda o: (o.rank, o.provider, o.model))
    return None


def _move_up(
    decision: RoutingDecision, situation: Situation, stronger: ModelOption, current: ModelOption
) -> RoutingDecision:
    because = f"The agent goes round in circles with {current.ref}, so {stronger.ref} takes over."
    if decision.ref == stronger.ref:
        metadata = {**decision.metadata, "moved_up": True, "moved_from": str(current.ref)}
        return replace(decision, reasoning=f"{decision.reasoning} {because}", metadata=metadata)
    return substitute(
        decision, situation, stronger, because=because,
        lost="the agent goes round in circles", won="stronger, as the agent goes round in circles",
        moved_up=True, moved_from=str(current.ref),
    )  # fmt: skip


def _stay(
    decision: RoutingDecision, situation: Situation, current: ModelOption, because: str, lost: str
) -> RoutingDecision:
    return substitute(
        decision, situation, current, because=because, lost=lost,
        won="answered the session so far", stayed=True,
    )  # fmt: skip
