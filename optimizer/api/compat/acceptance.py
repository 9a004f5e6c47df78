"""Accepts requests whose clients come back for the answer: 202 with an id."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from analytics.models import DeferredRequest
from optimizer.api.http.endpoint import ApiRequest, JsonReply
from optimizer.gateway.deferred.restored import SentRequest

# The headers that a request's reading depends on.
_KEPT_HEADERS = ("cache-control", "anthropic-version", "anthropic-beta")
_ASK_AGAIN_SECONDS = "60"


def sent_of(api_request: ApiRequest) -> SentRequest:
    """Return what the client sent, as far as the answer's format depends on it."""
    headers = {name: value for name in _KEPT_HEADERS if (value := api_request.header(name))}
    return SentRequest(api_request.path, api_request.data, headers, api_request.sent)


def accepted_reply(row: DeferredRequest, headers: Mapping[str, str] | None = None) -> JsonReply:
    """Return the reply to a request that is answered later. RFC 7240, section 4.1."""
    return JsonReply(
        deferred_body(row),
        202,
        {
            **(headers or {}),
            "Location": f"/v1/deferred/{row.pk}",
            "Preference-Applied": "respond-async",
            "Retry-After": _ASK_AGAIN_SECONDS,
        },
    )


def deferred_body(row: DeferredRequest) -> dict[str, Any]:
    """Return the JSON of a deferred request, without its answer."""
    return {
        "id": str(row.pk),
        "object": "deferred_request",
        "status": row.state,
        "created_at": row.created_at,
        "deadline": row.deadline_at,
        "ended_at": row.ended_at,
        "url": f"/v1/deferred/{row.pk}",
        "provider": row.provider,
        "model": row.model,
        "cost": row.cost,
        "savings": row.savings,
    }
