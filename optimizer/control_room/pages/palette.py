"""What the command palette of the admin finds beyond pages and tables, as JSON."""

from __future__ import annotations

from dataclasses import asdict

from django.http import HttpRequest, JsonResponse

from optimizer.control_room.search import search
from optimizer.wiring.build import get_services

_MOST_CHARS = 200


def palette_view(request: HttpRequest) -> JsonResponse:
    """Return ``groups`` of what matches the parameter ``q``, and the user may see."""
    services = get_services()
    configured = services.caller.providers
    models = sorted(services.catalogue.models, key=lambda spec: spec.provider not in configured)
    term, user = request.GET.get("q", "")[:_MOST_CHARS], request.user
    groups = search(term, [spec.ref for spec in models], user.has_perm)  # type: ignore[union-attr]
    return JsonResponse({"groups": [asdict(group) for group in groups]})
