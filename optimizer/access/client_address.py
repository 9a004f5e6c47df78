"""The address that a request comes from, also behind a proxy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.http import HttpRequest


def address_of_scope(scope: Mapping[str, Any], *, behind_proxy: bool) -> str:
    """Return the client's address, read from an ASGI scope.

    ``behind_proxy`` takes the last address of ``X-Forwarded-For``: the proxy itself wrote that one.
    """
    if behind_proxy:
        for name, value in reversed(scope["headers"]):
            if name == b"x-forwarded-for":
                return _last(value.decode("latin-1"))
    client = scope.get("client")
    return str(client[0]) if client else ""


def address_of_request(request: HttpRequest) -> str:
    """Return the client's address, read from a Django request.

    ``TRUST_PROXY_HEADERS`` decides whether ``X-Forwarded-For`` is read.
    """
    forwarded = request.META.get("HTTP_X_FORWARDED_FOR", "")
    if settings.TRUST_PROXY_HEADERS and forwarded:
        return _last(forwarded)
    return str(request.META.get("REMOTE_ADDR") or "")


def _last(forwarded: str) -> str:
    return forwarded.rsplit(",", 1)[-1].strip()
