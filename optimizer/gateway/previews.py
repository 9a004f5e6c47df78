"""What routing would choose for a request: no model is called, and nothing is recorded."""

from __future__ import annotations

from dataclasses import replace

from optimizer.domain.analyzed_request import AnalyzedRequest
from optimizer.domain.client import ANONYMOUS, Client
from optimizer.domain.request import GatewayRequest
from optimizer.domain.request_bounds import left_to_routing
from optimizer.gateway.model_selection import ModelSelector
from optimizer.gateway.request_analyzer import RequestAnalyzer
from providers.chat import Chat, Reasoning
from routing.models import RoutingDecision


class DecisionPreviews:
    """Returns decisions without a call: for previews, and to compare them with served requests."""

    def __init__(self, analyzer: RequestAnalyzer, selector: ModelSelector) -> None:
        self._analyzer = analyzer
        self._selector = selector

    def decide(
        self,
        prompt: str,
        *,
        max_tokens: int = 1000,
        auto_route: bool = True,
        max_latency: float | None = None,
        effort: str = "",
        client: Client = ANONYMOUS,
    ) -> RoutingDecision:
        """Return the decision that would be taken now, without the cache and experiments.

        ``max_latency`` is in seconds; ``effort`` is how much the model is to reason.
        """
        strategy = "hybrid" if auto_route else "complexity"
        chat = Chat.of_prompt(prompt, max_tokens)
        if effort:
            chat = replace(chat, reasoning=Reasoning(effort))
        request = GatewayRequest(
            chat, prompt, cache_key="", strategy=strategy, max_latency=max_latency, client=client
        )
        return self.of_request(request)

    def of_request(self, request: GatewayRequest) -> RoutingDecision:
        """Return the decision for ``request`` now, without the cache and experiments."""
        return self._selector.preview(self._analyzer.analyze(request, assign=False))

    def as_routed(self, analyzed: AnalyzedRequest) -> RoutingDecision:
        """Return what hybrid routing would choose for a request that names its model.

        The named model has the conversation in its prompt cache only because it was named.
        """
        request = replace(left_to_routing(analyzed.request), named=None, requested_model="auto")
        return self._selector.preview(self._analyzer.analyze(request, assign=False), afresh=True)

    def afresh(self, analyzed: AnalyzedRequest) -> RoutingDecision:
        """Return the decision for a request under its effect, as if nothing was cached."""
        request = replace(analyzed.request, chat=analyzed.request.as_asked, asked=None)
        return self._selector.preview(replace(analyzed, request=request), afresh=True)
