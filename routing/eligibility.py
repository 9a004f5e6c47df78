"""Which models can serve a request at all: its hard constraints."""

from __future__ import annotations

from collections.abc import Iterable

from routing.models import ModelOption, NoEligibleModel, PromptAnalysis, RoutingContext
from routing.rules import NO_EFFECT
from routing.strategies.base import Situation

_RESTING = "its provider takes no calls now"


def find_eligible(
    options: Iterable[ModelOption], context: RoutingContext, analysis: PromptAnalysis
) -> Situation:
    """Split ``options`` into eligible and excluded.

    Those of providers that take no calls now are eligible only if nobody else is: a call
    of them is still worth naming, as it fails at once and with the reason. Raises
    :class:`NoEligibleModel` with each model's reason when none is left.
    """
    eligible: list[ModelOption] = []
    resting: list[ModelOption] = []
    excluded: list[tuple[ModelOption, str]] = []
    available = context.available_providers
    for option in options:
        if context.only is not None and (option.provider, option.model) not in context.only:
            continue
        reason = _exclusion_reason(option, context, analysis)
        if reason is not None:
            excluded.append((option, reason))
        elif available is not None and option.provider not in available:
            resting.append(option)
        else:
            eligible.append(option)
    if eligible:
        excluded += [(option, _RESTING) for option in resting]
    else:
        eligible = resting
    if not eligible:
        lacking = (context.required_capabilities - option.capabilities for option, _ in excluded)
        raise NoEligibleModel(
            {option.ref: reason for option, reason in excluded}, frozenset().union(*lacking)
        )
    return Situation(context, analysis, tuple(eligible), tuple(excluded))


def _exclusion_reason(
    option: ModelOption, context: RoutingContext, analysis: PromptAnalysis
) -> str | None:
    effect = context.effect
    if effect is not NO_EFFECT and (
        reason := effect.exclusion_reason(option.provider, option.model)
    ):
        return reason
    if (over_budget := context.over_budget.get((option.provider, option.model))) is not None:
        return over_budget
    needed = analysis.token_count + context.max_tokens
    if needed > option.context_window:
        return f"needs {needed} tokens of context, has {option.context_window}"
    missing = context.required_capabilities - option.capabilities
    if missing:
        return f"lacks {', '.join(sorted(missing))}"
    if context.max_cost is not None:
        # A cap must hold even if the completion uses every token it may.
        worst = option.expected_cost(analysis.token_count, context.max_tokens)
        if worst is None:
            return "its price is unknown, so the cost cap cannot be kept"
        if worst > context.max_cost:
            return f"may cost ${worst:f}, above the cap of ${context.max_cost:f}"
    return None
