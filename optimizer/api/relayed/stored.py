"""Responses that this service stores itself, below /v1/responses; all others are passed on.

Format: https://platform.openai.com/docs/api-reference/responses/input-items
"""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase

from optimizer.api.http.errors import failure_of
from optimizer.api.http.failure import Failure
from optimizer.api.http.json_out import as_json
from optimizer.api.relayed.places import Place
from optimizer.api.relayed.views import View, failed, view_of
from optimizer.domain.client import ANONYMOUS
from optimizer.gateway.provider_objects.stored_responses import StoredResponses, is_own_response
from optimizer.wiring.build import get_services

_MOST_ITEMS = 100
_USUAL_ITEMS = 20


def response_view_of(place: Place) -> View:
    """Return the view of a path about one response."""
    relayed = view_of(place)

    async def view(request: HttpRequest, object_id: str) -> HttpResponseBase:
        method = "GET" if request.method == "HEAD" else request.method
        if method not in place.actions or not is_own_response(object_id):
            return await relayed(request, object_id=object_id)
        try:
            body = await _answer(request, place, object_id)
        except Exception as error:  # noqa: BLE001 - reported in the API's format
            return failed(request, place, failure_of(error))
        if body is None:
            failure = Failure(400, "invalid", "This response has ended: it cannot be cancelled.")
            return failed(request, place, failure)
        return HttpResponse(as_json(body), "application/json")

    return view


async def _answer(request: HttpRequest, place: Place, object_id: str) -> dict[str, Any] | None:
    stored: StoredResponses = get_services().stored_responses
    client = getattr(request, "scope", {}).get("optimizer.client", ANONYMOUS)
    if request.method == "DELETE":
        await stored.delete(object_id, client)
        return {"id": object_id, "object": "response", "deleted": True}
    if place.path.endswith("input_items"):
        return _page(await stored.input_items(object_id, client), request)
    response = await stored.find(object_id, client)
    return None if place.path.endswith("cancel") else response


def _page(items: list[dict[str, Any]], request: HttpRequest) -> dict[str, Any]:
    """Return one page of ``items``, newest first unless ``order`` is "asc"."""
    if request.GET.get("order") != "asc":
        items = items[::-1]
    ids = [item["id"] for item in items]
    if (after := request.GET.get("after")) in ids:
        items = items[ids.index(after) + 1 :]
    wanted = request.GET.get("limit", "")
    limit = min(int(wanted), _MOST_ITEMS) if wanted.isascii() and wanted.isdigit() else _USUAL_ITEMS
    page = items[:limit]
    return {
        "object": "list",
        "data": page,
        "first_id": page[0]["id"] if page else None,
        "last_id": page[-1]["id"] if page else None,
        "has_more": len(items) > len(page),
    }
