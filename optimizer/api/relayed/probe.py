"""The paths without content, which clients ask for to see whether a service answers."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse

from optimizer.api.http.json_out import as_json

_ALLOWED = "GET, HEAD, OPTIONS"


async def probe(request: HttpRequest) -> HttpResponse:
    """Answer a client that asks whether a service answers here."""
    if request.method == "OPTIONS":
        return HttpResponse(status=204, headers={"Allow": _ALLOWED})
    if request.method not in {"GET", "HEAD"}:
        return HttpResponse(status=405, headers={"Allow": _ALLOWED})
    body = {"service": "ai-cost-optimizer", "documentation": "/docs"}
    return HttpResponse(as_json(body), "application/json")
