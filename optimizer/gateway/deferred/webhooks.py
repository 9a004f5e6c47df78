"""Calls the webhooks of deferred requests that have ended, signed, and only at allowed hosts.

The signature follows https://www.standardwebhooks.com: HMAC-SHA256 over id, time and body.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Collection
from datetime import timedelta
from typing import Any

import httpx

from analytics.models import DeferredRequest

_TIMEOUT = 5.0
MOST_ATTEMPTS = 12
_PORTS = {"https": 443, "http": 80}


class WebhookRefused(ValueError):
    """The operator does not allow the URL; the message says why."""


class Webhooks:
    """Calls webhooks at ``hosts``, signed with ``secret``.

    A host is "hooks.example.com" or "hooks.example.com:8443", reached over TLS, or begins with
    "http://" to be reached without. Redirects are not followed, so no other host is ever called.
    """

    def __init__(self, hosts: Collection[str], secret: str) -> None:
        self._places = frozenset(map(_place_of_host, hosts))
        self._secret = secret.encode()

    def check(self, url: str) -> None:
        """Raise :class:`WebhookRefused` if the URL must not be called."""
        try:
            parts = _read(url)
            place = _place(parts)
        except ValueError:
            raise WebhookRefused("The webhook is no URL.") from None
        if parts.userinfo:
            raise WebhookRefused("The webhook's URL must not hold a name or a password.")
        if place not in self._places:
            raise WebhookRefused(
                "The webhook's host is not allowed here. The operator lists the allowed ones in "
                "WEBHOOK_HOSTS."
            )

    async def call(self, row: DeferredRequest) -> str:
        """Call the webhook of a request that has ended; return the error, empty if it took it."""
        try:
            self.check(row.webhook)
        except WebhookRefused as error:
            return str(error)
        body = json.dumps(webhook_body(row)).encode()
        headers = self.headers(str(row.pk), body, int(time.time()))
        try:
            async with (
                httpx.AsyncClient(timeout=_TIMEOUT, follow_redirects=False) as client,
                client.stream("POST", row.webhook, content=body, headers=headers) as response,
            ):
                return "" if response.is_success else f"HTTP {response.status_code}"
        except httpx.HTTPError as error:
            return type(error).__name__

    def headers(self, message_id: str, body: bytes, now: int) -> dict[str, str]:
        """Return the headers that sign ``body``; ``now`` is in seconds since 1970."""
        signed = f"{message_id}.{now}.".encode() + body
        digest = hmac.new(self._secret, signed, hashlib.sha256).digest()
        return {
            "content-type": "application/json",
            "webhook-id": message_id,
            "webhook-timestamp": str(now),
            "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
        }


def again_after(attempts: int) -> timedelta | None:
    """Return when a webhook that failed is called again, ``None`` for never."""
    if attempts >= MOST_ATTEMPTS:
        return None
    return timedelta(seconds=min(30 * 2**attempts, 6 * 3600))


def webhook_body(row: DeferredRequest) -> dict[str, Any]:
    """Return what a webhook says: that a request has ended, and where its answer is."""
    return {
        "type": "deferred.ended",
        "id": str(row.pk),
        "status": row.state,
        "status_code": row.status_code,
        "url": f"/v1/deferred/{row.pk}",
        "ended_at": row.ended_at.isoformat() if row.ended_at else None,
    }


def _place_of_host(host: str) -> tuple[str, str, int]:
    return _place(_read(host if "://" in host else f"https://{host}"))


def _read(url: str) -> httpx.URL:
    """Read ``url`` as the client does that will call it. Raises ValueError if it cannot."""
    try:
        return httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ValueError(str(error)) from error


def _place(url: httpx.URL) -> tuple[str, str, int]:
    if url.scheme not in _PORTS or not url.host:
        raise ValueError("no URL of HTTP")
    return url.scheme, url.host.rstrip("."), url.port or _PORTS[url.scheme]
