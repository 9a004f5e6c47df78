"""The levers of effort and service tier: they send a request as routing decided to ask the model.

Routing first decides with all levers that are on. What it chose then is a decision's
``first_choice``: each lever in it has a trial. If an arm of one is control, routing has decided
again without it, so the decision's ``variant`` is what is to be sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from optimizer.domain.analyzed_request import AnalyzedRequest
from optimizer.domain.request import GatewayRequest
from optimizer.gateway.levers.plans import Plan
from optimizer.gateway.levers.ways import EFFORT, FLEX, LeverWays
from providers.less_effort import with_less_effort
from providers.resilience import TierAttempt
from routing.models import ModelRef, RoutingDecision


class EffortLever:
    """Asks the chosen model to reason less, where routing decided so."""

    name = EFFORT

    def plan(
        self, analyzed: AnalyzedRequest, decision: RoutingDecision, options: Mapping[str, Any]
    ) -> Plan | None:
        """Return the plan of a request whose first choice was another effort."""
        first = decision.metadata.get("first_choice", {})
        if "effort" not in first:
            return None
        effort = decision.metadata.get("variant", {}).get("effort", "")
        reasoning = analyzed.request.chat.reasoning
        asked = "" if reasoning is None else reasoning.level

        def apply(request: GatewayRequest) -> GatewayRequest:
            less = with_less_effort(request.chat, effort, decision.model) if effort else None
            return request if less is None else replace(request, chat=less)

        return Plan(apply, {"from": asked, "to": first["effort"]}, first.get("as_asked"))


class FlexLever:
    """Asks the chosen model in a cheaper tier first, where routing decided so."""

    name = FLEX

    def __init__(self, ways: LeverWays) -> None:
        self._ways = ways

    def plan(
        self, analyzed: AnalyzedRequest, decision: RoutingDecision, options: Mapping[str, Any]
    ) -> Plan | None:
        """Return the plan of a request whose first choice was another tier."""
        first = decision.metadata.get("first_choice", {})
        if "service_tier" not in first:
            return None
        variant = decision.metadata.get("variant", {})
        tier = variant.get("service_tier", "")

        def apply(request: GatewayRequest) -> GatewayRequest:
            if not tier:
                return request
            refs = frozenset({ModelRef(decision.provider, decision.model)})
            (option,) = self._ways.options.named(refs)
            reasoning = request.chat.reasoning
            effort = "" if reasoning is None else reasoning.level
            seconds = self._ways.seconds_in_tier(request, option, effort)
            if not seconds:
                return request
            return replace(request, first_tier=TierAttempt(tier, seconds))

        return Plan(apply, {"tier": first["service_tier"]}, first.get("as_asked"))
