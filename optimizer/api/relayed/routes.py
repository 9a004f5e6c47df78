"""The paths below /v1 that are passed on, and those that clients ask to see who answers."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.urls import path

from optimizer.api.deferred.batch_views import batch_view_of
from optimizer.api.http.json_out import as_json
from optimizer.api.relayed.places import PLACES, Kind
from optimizer.api.relayed.stored import response_view_of
from optimizer.api.relayed.token_counts import CompactView, InputTokensView
from optimizer.api.relayed.views import view_of

_VIEWS = {
    Kind.RESPONSE: response_view_of, Kind.BATCH: batch_view_of, Kind.FILE: batch_view_of,
}  # fmt: skip
_ALLOWED = "GET, HEAD, OPTIONS"


async def probe(request: HttpRequest) -> HttpResponse:
    """Answer a client that asks whether there is anybody."""
    if request.method == "OPTIONS":
        return HttpResponse(status=204, headers={"Allow": _ALLOWED})
    if request.method not in {"GET", "HEAD"}:
        return HttpResponse(status=405, headers={"Allow": _ALLOWED})
    body = {"service": "ai-cost-optimizer", "documentation": "/docs"}
    return HttpResponse(as_json(body), "application/json")


urlpatterns = [
    path("", probe, name="probe"),
    path("responses/input_tokens", InputTokensView.as_view({"post": "create"})),
    path("responses/compact", CompactView.as_view({"post": "create"})),
    *(
        path(
            place.path,
            _VIEWS.get(place.kind, view_of)(place),
        )
        for place in PLACES
    ),
]
