"""Whether the service is free to ask one model first and then another one."""

from __future__ import annotations

from optimizer.domain.analyzed_request import AnalyzedRequest
from optimizer.domain.options import STATEFUL
from optimizer.domain.request import GatewayRequest
from optimizer.domain.turns import COMPACTION, KEEP_ALIVE
from optimizer.gateway.levers.cascade.options import CascadeOptions
from optimizer.gateway.prompt_cache import LEAST_CACHED_TOKENS
from routing.models import RoutingDecision

_ROUTED = frozenset({"hybrid", "learning"})
"""The strategies of clients that leave the choice to the service: those that ask for "auto"."""


def may_cascade(
    analyzed: AnalyzedRequest, decision: RoutingDecision, wanted: CascadeOptions
) -> bool:
    """Return whether the service is free to ask one model first and then another one."""
    request, metadata = analyzed.request, decision.metadata
    chat = request.chat
    if request.strategy not in _ROUTED or request.only is not None:
        return False
    if request.streamed and not wanted.streams:
        return False
    if request.restoring is not None:
        return False  # a shortened conversation is answered in rounds of its own
    # What is being measured, or was chosen for another reason than cost, stays as it is.
    if metadata.get("explored") or analyzed.assignment is not None:
        return False
    if "rejected_model" in metadata and "instead_of" not in metadata.get("guarantee", {}):
        return False
    if "service_tier" in metadata.get("first_choice", {}):
        return False  # a call in a cheaper tier may take minutes; another one after it as many
    if chat.n > 1 or chat.sealed or request.turn in (KEEP_ALIVE, COMPACTION):
        return False
    return _may_be_repeated(request)


def _may_be_repeated(request: GatewayRequest) -> bool:
    """Return whether two models can be asked: nothing is run, kept or cached at a provider."""
    chat = request.chat
    if chat.native or not STATEFUL.isdisjoint(chat.extras):
        return False
    if any(name.startswith("tools") for name in chat.extras):
        return False
    goes_on = any(message.role == "assistant" for message in chat.messages)
    return not (goes_on and chat.estimated_tokens() >= LEAST_CACHED_TOKENS)
