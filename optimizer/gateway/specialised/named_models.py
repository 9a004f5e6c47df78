"""What rules, regions and budgets leave of the models that a request names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from analytics.budgets.claims import Refusal
from optimizer.budgets.reservation import Reservation
from optimizer.domain.analyzed_request import AnalyzedRequest
from optimizer.domain.result import OutsideRegions
from optimizer.gateway.guardrails.body_texts import texts_in
from optimizer.policies.rules import ActiveRules
from providers.catalogue import ModelSpec
from providers.residency import residency_feature
from providers.resilience import ResilientCaller
from routing.models import ModelRef, NoEligibleModel, PromptAnalysis, RoutingDecision
from routing.rules import NO_EFFECT, Effect


def under_rules(
    rules: ActiveRules, analyzed: AnalyzedRequest, body: Mapping[str, Any]
) -> AnalyzedRequest:
    """Return a request that is no chat, with what rules demand of it by all texts of ``body``.

    Raises :class:`optimizer.domain.result.NestedTooDeeply`.
    """
    text = "\n".join(texts_in(body))
    return replace(analyzed, effect=rules.demands(analyzed.request, analyzed.analysis, text))


def left_by_rules(specs: Sequence[ModelSpec], effect: Effect) -> list[ModelRef]:
    """Return the models that may answer. Raises :class:`routing.models.NoEligibleModel`."""
    left, excluded = [], {}
    for spec in specs:
        ref = ModelRef(spec.provider, spec.id)
        if reason := effect.exclusion_reason(spec.provider, spec.id, spec.snapshot_of):
            excluded[str(ref)] = reason
        else:
            left.append(ref)
    if not left:
        raise NoEligibleModel(excluded)
    return left


def kept_within(
    caller: ResilientCaller, chain: list[ModelRef], residency: frozenset[str]
) -> list[ModelRef]:
    """Return the models of ``chain`` that are served within all regions of ``residency``.

    Raises :class:`optimizer.domain.result.OutsideRegions` if there is none.
    """
    if not residency:
        return chain
    feature = residency_feature(residency)
    within = [ref for ref in chain if feature in caller.residencies(*ref)]
    if not within:
        raise OutsideRegions(residency)
    return within


async def afforded(reservation: Reservation, chain: list[ModelRef]) -> list[ModelRef]:
    """Return ``chain`` from the first model whose cost could be held.

    Raises :class:`optimizer.domain.result.BudgetExceeded` if there is none.
    """
    refusals: Sequence[Refusal] = ()
    for place, (provider, model) in enumerate(chain):
        refusals = await reservation.hold(provider, model)
        if not refusals:
            return chain[place:]
    raise reservation.exceeded(refusals)


def named_decision(
    chain: list[ModelRef], analysis: PromptAnalysis, effect: Effect = NO_EFFECT
) -> RoutingDecision:
    """Return the decision for the models that a request named, first choice first."""
    provider, model = chain[0]
    refs = [{"provider": name, "model": id_} for name, id_ in chain]
    return RoutingDecision(
        provider=provider,
        model=model,
        confidence="high",
        strategy_used="named",
        reasoning=f"The request named {provider}/{model}.",
        metadata={
            "pattern": analysis.pattern,
            "complexity": analysis.complexity,
            "tier": analysis.tier,
            "token_count": analysis.token_count,
            "cost_estimate": None,
            "quality_score": None,
            "candidates": [],
            "fallback_chain": refs[1:],
            "baseline_chain": refs,
            **({"rules": list(effect.applied)} if effect.applied else {}),
        },
    )
