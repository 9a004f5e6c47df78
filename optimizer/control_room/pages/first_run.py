"""The page "Getting started": from no provider key to the first routed request."""

from __future__ import annotations

from typing import Any

from asgiref.sync import sync_to_async
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.template.response import TemplateResponse
from django.urls import reverse

from analytics.models import RequestRecord
from analytics.money import dollars
from optimizer.control_room.access import staff_permission_required
from optimizer.lab.connection_test import NotConfigured
from optimizer.presentation.connections.agents import NAMES, connection
from optimizer.presentation.connections.snippets import snippets
from optimizer.wiring.build import get_services

_MAY_VIEW, _MAY_ASK = "analytics.view_requestrecord", "analytics.ask_requestrecord"


def start_page(request: HttpRequest) -> HttpResponse:
    """Show the steps and their progress.

    A script on the page tests connections and waits for the first request.
    """
    if not request.user.has_perm(_MAY_VIEW):  # type: ignore[union-attr]
        raise PermissionDenied
    services = get_services()
    base = f"{request.scheme}://{request.get_host()}"
    keys_required = services.api_keys.required
    states = services.connections.states()
    context: dict[str, Any] = {
        **admin.site.each_context(request),
        "title": "Getting started",
        "states": states,
        "configured": [state for state in states if state.configured],
        "keys_required": keys_required,
        "snippets": snippets(base, "YOUR_KEY" if keys_required else "any"),
        "agents": [
            connection(name, base, "YOUR_KEY" if keys_required else "any") for name in NAMES
        ],
        "first_request": RequestRecord.objects.admitted()
        .order_by("created_at")
        .values_list("pk", flat=True)
        .first(),
        "may_ask": request.user.has_perm(_MAY_ASK),  # type: ignore[union-attr]
        "may_add_keys": request.user.has_perm("analytics.add_apikey"),  # type: ignore[union-attr]
    }
    return TemplateResponse(request, "admin/start.html", context)


@staff_permission_required(_MAY_ASK)
async def test_connection(request: HttpRequest) -> HttpResponseBase:
    """Test whether the provider named in the form answers, and return the result as JSON."""
    name = request.POST.get("provider", "")
    user = await request.auser()
    # Another worker may have stored the key a moment ago.
    await sync_to_async(get_services().operation.refresh)()
    try:
        result = await get_services().connections.test(name, user.get_username())
    except NotConfigured:
        return JsonResponse({"detail": "No provider of this name is configured."}, status=404)
    body: dict[str, Any] = {"works": result.works, "words": f"{result.words} {result.hint}".strip()}
    if result.works:
        body["words"] = (
            f"{result.words} {result.model} in {result.took_ms:,.0f} ms, {dollars(result.cost)}."
        )
        page = "admin:analytics_routingmetric_change"
        body["story"] = reverse(page, args=[result.request_id])
    return JsonResponse(body)
