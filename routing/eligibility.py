"""Find the models that can serve a request: its hard constraints."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from math import ceil

from routing.models import ModelOption, NoEligibleModel, PromptAnalysis, RoutingContext
from routing.rules import NO_EFFECT, names
from routing.strategies.base import Situation

_UNAVAILABLE = "its provider failed too often recently and is not called for now"
_ON_TRIAL = "it is on trial, and traffic was not moved to it yet"
_TOO_LONG = "the request needs"


def find_eligible(
    options: Iterable[ModelOption], context: RoutingContext, analysis: PromptAnalysis
) -> Situation:
    """Split ``options`` into eligible and excluded models.

    Models of unavailable providers, those whose rate is limited now, and those that are held back
    for a trial, are eligible only if no other model is: the error of a call tells the client the
    reason. Raises :class:`NoEligibleModel`, with each model's reason, if no model is left.
    """
    eligible: list[ModelOption] = []
    unavailable: list[tuple[ModelOption, str]] = []
    excluded: list[tuple[ModelOption, str]] = []
    available, cooling = context.available_providers, context.cooling
    held = context.effect.held
    for option in options:
        if context.only is not None and (option.provider, option.model) not in context.only:
            continue
        reason = _exclusion_reason(option, context, analysis)
        if reason is not None:
            excluded.append((option, reason))
        elif held and names(held, option.provider, option.model, option.snapshot_of):
            unavailable.append((option, _ON_TRIAL))
        elif available is not None and option.provider not in available:
            unavailable.append((option, _UNAVAILABLE))
        elif cooling and (seconds := cooling.get((option.provider, option.model))):
            reason = f"its provider limits the rate of its calls for {ceil(seconds)} s more"
            unavailable.append((option, reason))
        else:
            eligible.append(option)
    if eligible:
        excluded += unavailable
    else:
        eligible = [option for option, _ in unavailable]
    if not eligible:
        lacking = (context.required_capabilities - option.capabilities for option, _ in excluded)
        raise NoEligibleModel(
            {str(option.ref): reason for option, reason in excluded},
            frozenset().union(*lacking),
            too_long=bool(excluded) and all(why.startswith(_TOO_LONG) for _, why in excluded),
        )
    return Situation(context, analysis, tuple(eligible), tuple(excluded))


def within_latency(situation: Situation, limit: float) -> Situation:
    """Return the situation with the models alone that are expected to answer in ``limit`` seconds.

    If there are none, the fastest one stays. A model whose speed is not known is never taken for
    a fast one, unless nothing is known of any: then all stay.
    """
    expected = [(situation.fastest_latency(option), option) for option in situation.eligible]
    known = [(seconds, option) for seconds, option in expected if seconds is not None]
    if not known:
        note = (
            f"How long answers take is not known yet, so the limit of {limit:g} s is not checked."
        )
        return replace(situation, note=note)
    within = {option.ref for seconds, option in known if seconds <= limit}
    note = ""
    if not within:
        seconds, fastest = min(known, key=lambda one: (one[0], one[1].rank, one[1].ref))
        within = {fastest.ref}
        note = (
            f"No model is expected to answer within {limit:g} s; {fastest.ref} is the fastest of "
            f"those that are known, with about {_above(seconds, limit)}."
        )
    slow = tuple(
        (option, _too_slow(seconds, limit))
        for seconds, option in expected
        if option.ref not in within
    )
    eligible = tuple(option for option in situation.eligible if option.ref in within)
    excluded = (*situation.excluded, *slow)
    return replace(situation, eligible=eligible, excluded=excluded, note=note)


def _too_slow(seconds: float | None, limit: float) -> str:
    if seconds is None:
        return f"how long it takes is not known, so the limit of {limit:g} s cannot be checked"
    return f"takes about {_above(seconds, limit)}, which is above the limit of {limit:g} s"


def _above(seconds: float, limit: float) -> str:
    """Return ``seconds`` as text, as exactly as it takes to be seen above ``limit``."""
    rounded = f"{seconds:.1f}"
    return f"{rounded if float(rounded) > limit else f'{seconds:g}'} s"


def _exclusion_reason(
    option: ModelOption, context: RoutingContext, analysis: PromptAnalysis
) -> str | None:
    effect = context.effect
    if effect is not NO_EFFECT and (
        reason := effect.exclusion_reason(option.provider, option.model, option.snapshot_of)
    ):
        return reason
    if (over_budget := context.over_budget.get(option.ref)) is not None:
        return over_budget
    needed = analysis.token_count + context.max_tokens
    if needed > option.context_window:
        return f"{_TOO_LONG} {needed} tokens of context, the model has {option.context_window}"
    most = option.max_output
    if most is not None and context.output_limit > most:
        asked = context.output_limit
        return f"an answer of {asked} tokens is asked for, the model gives at most {most}"
    missing = context.required_capabilities - option.capabilities
    if missing:
        return f"lacks {', '.join(sorted(missing))}"
    if context.max_cost is not None:
        # The cap must hold even if the completion has max_tokens.
        worst = option.expected_cost(analysis.token_count, context.max_tokens)
        if worst is None:
            return "its price is unknown, so the cost cap cannot be checked"
        if worst > context.max_cost:
            return f"may cost ${worst:f}, which is above the cap of ${context.max_cost:f}"
    return None
