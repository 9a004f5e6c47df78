"""Which webhooks may be called, and how calls are signed.

The signature follows https://www.standardwebhooks.com: HMAC-SHA256 over id, time and body.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Collection

import httpx

_LAST_PORT = 65_535
_PORTS = {"https": 443, "http": 80}


class WebhookRefused(ValueError):
    """The operator does not allow the URL; the message says why."""


class AllowedHosts:
    """The hosts that may be called, named by a ``setting``.

    A host is "hooks.example.com" or "hooks.example.com:8443", reached over TLS, or begins with
    "http://" to be reached without. Raises ``ValueError`` for an entry that is no host.
    """

    def __init__(self, hosts: Collection[str], setting: str) -> None:
        self._places = frozenset(map(_place_of_host, hosts))
        self._setting = setting

    def check(self, url: str) -> None:
        """Raise :class:`WebhookRefused` if the URL must not be called."""
        try:
            parts = read_url(url)
            place = _place(parts)
        except ValueError:
            raise WebhookRefused("The webhook is no URL.") from None
        if parts.userinfo:
            raise WebhookRefused("The webhook's URL must not hold a name or a password.")
        if place not in self._places:
            raise WebhookRefused(
                "The webhook's host is not allowed here. The operator lists the allowed ones in "
                f"{self._setting}."
            )


def signed_headers(secret: str, message_id: str, body: bytes, now: int) -> dict[str, str]:
    """Return the headers that sign ``body``; ``now`` is in seconds since 1970."""
    signed = f"{message_id}.{now}.".encode() + body
    digest = hmac.new(secret.encode(), signed, hashlib.sha256).digest()
    return {
        "content-type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(now),
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }


def read_url(url: str) -> httpx.URL:
    """Read ``url`` as the client does that will call it. Raises ValueError if it cannot."""
    try:
        read = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ValueError(str(error)) from error
    if read.port is not None and read.port > _LAST_PORT:
        raise ValueError("no port")
    return read


def _place_of_host(host: str) -> tuple[str, str, int]:
    return _place(read_url(host if "://" in host else f"https://{host}"))


def _place(url: httpx.URL) -> tuple[str, str, int]:
    if url.scheme not in _PORTS or not url.host:
        raise ValueError("no URL of HTTP")
    return url.scheme, url.host.rstrip("."), url.port or _PORTS[url.scheme]
