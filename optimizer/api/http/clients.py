"""Who asks, for views."""

from __future__ import annotations

from rest_framework.request import Request

from optimizer.domain.client import ANONYMOUS, Client


def tenant_of(request: Request) -> str | None:
    """Whose statistics ``request`` may see: its own tenant's; ``None`` where everybody's."""
    client = client_of(request)
    return None if "read" in client.scopes else client.tenant


def client_of(request: Request) -> Client:
    """As the gatekeeper found; anyone where it does not stand before the views."""
    scope = getattr(request._request, "scope", {})
    found: Client = scope.get("optimizer.client", ANONYMOUS)
    return found
