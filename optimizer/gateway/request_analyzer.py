"""Analyzes a request before a model is chosen: its prompt, its experiment and its rules."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from optimizer.domain.analyzed_request import AnalyzedRequest
from optimizer.domain.request import GatewayRequest
from optimizer.domain.request_bounds import bounded_by_rules, left_to_routing, within_regions
from optimizer.gateway.guardrails.cache_bounds import within_rails
from optimizer.gateway.guardrails.guard import GuardRails
from optimizer.policies.autopilot import ActiveAutopilot
from optimizer.policies.experiments import Experiments
from optimizer.policies.rules import ActiveRules
from routing.models import PromptAnalysis
from routing.rules import NO_EFFECT, Effect


class RequestAnalyzer:
    """Returns requests with all that is known about them before a model is chosen.

    ``caching`` is whether answers are cached at all. ``bounded`` returns whether a request's
    completion needs a limit on its tokens. ``guard`` are the guard rails that stand before calls.
    """

    def __init__(
        self,
        rules: ActiveRules | None,
        experiments: Experiments | None,
        autopilot: ActiveAutopilot | None,
        *,
        caching: bool,
        bounded: Callable[[AnalyzedRequest], bool],
        guard: GuardRails | None = None,
    ) -> None:
        self._guard = guard
        self._rules = rules
        self._experiments = experiments
        self.autopilot = autopilot
        self._caching = caching
        self._bounded = bounded

    async def analyze_aside(self, request: GatewayRequest) -> AnalyzedRequest:
        """Return what :meth:`analyze` does; a large chat is read on a thread."""
        if self._guard is not None and self._caching:
            request = await within_rails(request, self._guard)
        # It takes its time, in which the event loop serves others.
        if request.chat.large:
            return await asyncio.to_thread(self.analyze, request)
        return self.analyze(request)

    def analyze(self, request: GatewayRequest, *, assign: bool = True) -> AnalyzedRequest:
        """Return the request with its analysis, the rules' effect on it and its experiment.

        Without ``assign`` it takes part in no experiment.
        """
        if not self._caching:
            off = replace(request.cache, read=False, write=False)
            request = replace(request, cache=off)
        assignment = None
        if assign and self._experiments is not None and self._experiments.running:
            request, assignment = self._experiments.assign(request)
        if request.client.residency:
            request = within_regions(request, request.client.residency)
        analysis = request.analyze()
        effect = NO_EFFECT
        if self._rules is not None and self._rules.rules:
            request, effect = _under_rules(self._rules, request, analysis)
        if request.client.models:
            effect = replace(effect, allowed=request.client.models)
        if assignment is not None:
            effect = assignment.on(effect)
        autopilot = self.autopilot
        if autopilot is not None and autopilot.any:
            if assign and assignment is None:
                request, effect, assignment = autopilot.assign(request, analysis, effect)
            else:
                effect = autopilot.usual(request, analysis, effect)
        analyzed = AnalyzedRequest(request, analysis, effect, assignment)
        if request.chat.max_tokens is None and self._bounded(analyzed):
            chat = replace(request.chat, max_tokens=request.max_tokens)
            analyzed = replace(analyzed, request=replace(request, chat=chat))
        return analyzed


def _under_rules(
    rules: ActiveRules, request: GatewayRequest, analysis: PromptAnalysis
) -> tuple[GatewayRequest, Effect]:
    effect = rules.effect(request, analysis)
    if effect.routed is not None and request.only is not None:
        request = left_to_routing(request)
    request = bounded_by_rules(request, effect)
    if effect.residency:
        request = within_regions(request, effect.residency)
    if effect.deadline is not None and request.deadline is None:
        request = replace(request, deadline=effect.deadline)
    return request, effect
