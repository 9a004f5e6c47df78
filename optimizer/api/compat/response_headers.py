"""Headers of an answer: its model, cost and savings, its session, and those of the provider."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from optimizer.api.http.headers import NOT_IN_HEADERS
from optimizer.domain.request import GatewayRequest
from optimizer.domain.result import CompletionResult
from optimizer.gateway.service import RoutingService
from optimizer.gateway.streaming.client_stream import ClientStream
from routing.models import RoutingDecision

# The request id in this header is our own.
_OWN_HEADERS = frozenset({"x-request-id", "retry-after", "retry-after-ms", "x-should-retry"})
_MOST_HEADER_CHARACTERS = 2_000
# These are about the operator's account, so they show what all tenants use together.
_ACCOUNT_HEADERS = (
    "x-ratelimit-", "anthropic-ratelimit-", "anthropic-priority-", "anthropic-organization",
    "openai-organization", "openai-project",
)  # fmt: skip


def relayed_headers(headers: Mapping[str, str], request: GatewayRequest | None) -> dict[str, str]:
    """Return the provider's headers for the client of ``request``, if that is known.

    The provider's request id gets a name of its own. Tenants get none of the headers about the
    operator's account.
    """
    hidden = () if request is not None and not request.client.tenant else _ACCOUNT_HEADERS
    relayed = {
        name: value
        for name, value in headers.items()
        if name not in _OWN_HEADERS and not name.startswith(hidden)
    }
    if upstream_id := headers.get("x-request-id"):
        relayed["x-optimizer-upstream-request-id"] = upstream_id
    return relayed


def dropped_header(
    routing: RoutingService, request: GatewayRequest, provider: str, model: str
) -> dict[str, str]:
    """Return the header with the fields of the request that the model leaves out, if any."""
    dropped = routing.dropped(request, provider, model)
    if not dropped:
        return {}
    # The client chose parts of these names, such as a tool's type: not all of them fit a header.
    text = ", ".join(dropped)[:_MOST_HEADER_CHARACTERS]
    return {"X-Optimizer-Dropped": NOT_IN_HEADERS.sub("?", text)}


def headers_of_stream(request: GatewayRequest, stream: ClientStream) -> dict[str, str]:
    """Return the headers of a stream, which are sent before its first event.

    They hold cost and savings only if the answer is known already; otherwise the last event does.
    """
    if stream.result is not None:
        return headers_of_result(request, stream.result)
    # The stream of an identical request is shared; it counts as a cache hit.
    decision = stream.decision
    shared = decision is not None and decision.strategy_used == "cached"
    return {
        **(_decision_headers(decision) if decision is not None else {}),
        "X-Optimizer-Cache": _cache_status(request, hit=shared),
        **_session_header(request),
    }


def headers_of_result(request: GatewayRequest, result: CompletionResult) -> dict[str, str]:
    """Return the headers of a complete answer."""
    headers = {
        **cost_headers(result),
        "X-Optimizer-Cache": _cache_status(request, hit=result.cache_hit),
        **_session_header(request),
    }
    if result.likeness is not None:
        headers["X-Optimizer-Cache"] = f"semantic; likeness={result.likeness:.2f}"
    return headers


def cost_headers(result: CompletionResult) -> dict[str, str]:
    """Return headers that name provider, model, cost and savings in USD, and the cost's basis."""
    headers = {
        **_decision_headers(result.decision),
        "X-Optimizer-Cost": _usd(result.cost),
        "X-Optimizer-Savings": _usd(result.savings),
    }
    if result.price_basis:
        headers["X-Optimizer-Price-Basis"] = result.price_basis
    if result.list_cost is not None:
        headers["X-Optimizer-List-Cost"] = _usd(result.list_cost)
    return headers


def _decision_headers(decision: RoutingDecision) -> dict[str, str]:
    headers = {
        "X-Optimizer-Provider": decision.provider,
        "X-Optimizer-Model": decision.model,
        "X-Optimizer-Strategy": decision.strategy_used,
        "X-Optimizer-Confidence": decision.confidence,
    }
    if (cascade := decision.metadata.get("cascade")) is not None:
        headers["X-Optimizer-Cascade"] = "escalated" if cascade["escalated"] else "passed"
    return headers


def _session_header(request: GatewayRequest) -> dict[str, str]:
    """Return the header with the id by which ``GET /v1/sessions/{id}`` finds the session."""
    session = request.session.id
    if not session or NOT_IN_HEADERS.search(session):
        return {}
    return {"X-Optimizer-Session": session}


def _cache_status(request: GatewayRequest, *, hit: bool) -> str:
    if hit:
        return "hit"
    return f"bypass; {request.cache.bypass_reason}" if request.cache.bypassed else "miss"


def _usd(amount: Decimal | None) -> str:
    return "unknown" if amount is None else f"{amount.normalize():f}"
