"""What stands at the service's root: a page for people, and JSON for API clients."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from optimizer.api.relayed.probe import probe

_READS = frozenset({"GET", "HEAD"})
_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
_JSON, _HTML = "application/json", "text/html"


async def landing(request: HttpRequest) -> HttpResponse:
    """Return a page that leads on where a browser asks, else what API clients look for."""
    # Clients that take anything, such as curl, get JSON.
    wanted = request.get_preferred_type([_JSON, _HTML])
    if request.method not in _READS or wanted != _HTML:
        return await probe(request)
    page = TemplateResponse(request, "landing.html")
    page["Content-Security-Policy"] = _POLICY
    page["Vary"] = "Accept"
    return page.render()
