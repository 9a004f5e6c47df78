"""Applies the levers that change a request once its model is chosen, and records their trials."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Protocol

from optimizer.domain.analyzed_request import AnalyzedRequest
from optimizer.domain.levers import LeverTrial
from optimizer.domain.request import GatewayRequest
from optimizer.policies.levers import ActiveLevers
from routing.models import RoutingDecision


@dataclass(frozen=True, slots=True)
class Plan:
    """What a lever would do with a request.

    ``apply`` returns the changed request. ``detail`` and ``expected`` are those of
    :class:`optimizer.domain.levers.LeverTrial`.
    """

    apply: Callable[[GatewayRequest], GatewayRequest]
    detail: Mapping[str, Any] | None = None
    expected: Decimal | None = None


class RequestLever(Protocol):
    """A lever that changes what is sent."""

    @property
    def name(self) -> str:
        """Return its name among the levers."""
        ...

    def plan(
        self, analyzed: AnalyzedRequest, decision: RoutingDecision, options: Mapping[str, Any]
    ) -> Plan | None:
        """Return what it would do, ``None`` if it would do nothing.

        The answer must not depend on the request's arm. ``options`` are the lever's settings.
        """
        ...


class RequestLevers:
    """The levers that change what is sent, in their order."""

    def __init__(self, active: ActiveLevers, levers: Sequence[RequestLever]) -> None:
        self.active = active
        self._levers = tuple(levers)

    async def prepare(
        self, analyzed: AnalyzedRequest, decision: RoutingDecision
    ) -> AnalyzedRequest:
        """Return the request as it is to be sent to the chosen model, with its trials.

        Call it only if ``active.any``. Large conversations are changed on a thread.
        """
        if analyzed.request.chat.large:
            return await asyncio.to_thread(self._prepare, analyzed, decision)
        return self._prepare(analyzed, decision)

    def _prepare(self, analyzed: AnalyzedRequest, decision: RoutingDecision) -> AnalyzedRequest:
        for lever in self._levers:
            if self.active.mode(lever.name) == "off":
                continue
            plan = lever.plan(analyzed, decision, self.active.options(lever.name))
            if plan is None:
                continue
            trial = self.active.draw(
                lever.name, analyzed.request, expected=plan.expected, detail=plan.detail
            )
            if trial is None:
                continue
            analyzed = with_trial(analyzed, trial)
            if trial.treated:
                analyzed = replace(analyzed, request=_applied(plan, analyzed.request))
        return analyzed


def with_trial(analyzed: AnalyzedRequest, trial: LeverTrial) -> AnalyzedRequest:
    """Return ``analyzed`` with one trial more."""
    request = analyzed.request
    return replace(analyzed, request=replace(request, trials=(*request.trials, trial)))


def _applied(plan: Plan, request: GatewayRequest) -> GatewayRequest:
    changed = plan.apply(request)
    if changed.chat is not request.chat and changed.asked is None:
        changed = replace(changed, asked=request.chat)
    return changed
