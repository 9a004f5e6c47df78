"""Where a request comes from."""

from __future__ import annotations

from collections.abc import Iterable

from django.conf import settings
from django.http import HttpRequest


def address_of_scope(scope: dict[str, object], *, behind_proxy: bool) -> str:
    """The client's address; ``behind_proxy`` it is the last of X-Forwarded-For, which the proxy
    itself put there."""
    headers = scope.get("headers") or ()
    assert isinstance(headers, Iterable)
    if behind_proxy:
        for name, value in reversed(list(headers)):
            if name == b"x-forwarded-for":
                return str(value.decode("latin-1").rsplit(",", 1)[-1].strip())
    client = scope.get("client")
    return str(client[0]) if isinstance(client, (list, tuple)) else ""


def address_of_request(request: HttpRequest) -> str:
    """The same for Django's requests, as settings have it."""
    forwarded = request.META.get("HTTP_X_FORWARDED_FOR", "")
    if settings.TRUST_PROXY_HEADERS and forwarded:
        return str(forwarded.rsplit(",", 1)[-1].strip())
    return str(request.META.get("REMOTE_ADDR") or "")
