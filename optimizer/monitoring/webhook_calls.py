"""Posts messages to webhooks: bounded in time, without redirects, never to a cloud's metadata."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import logging
import socket
import time
from typing import Any

import httpx
from django.conf import settings

from analytics.encryption import UNREADABLE
from optimizer.shared.webhooks import AllowedHosts, WebhookRefused, read_url, signed_headers

logger = logging.getLogger(__name__)

_TIMEOUT = 5.0
_MOST_SECONDS = 8.0
"""For the whole call: a server that sends a byte now and then resets every other limit."""
_METADATA = frozenset(map(ipaddress.ip_address, ("100.100.100.200", "fd00:ec2::254")))


def webhook_client() -> httpx.AsyncClient:
    """Return a client for calls of webhooks; to be entered, and used for many calls."""
    return httpx.AsyncClient(timeout=_TIMEOUT, follow_redirects=False)


async def webhook_post(
    client: httpx.AsyncClient, url: str, body: dict[str, Any], message_id: str
) -> str:
    """Post ``body``; return the error, empty if it was taken.

    It is signed if ``WEBHOOK_SECRET`` is set. With ``ALERT_WEBHOOK_HOSTS``, only these hosts are
    called; without it, every host but those that hand out a machine's credentials.
    """
    if url == UNREADABLE:
        return "its address is encrypted with a key that is not configured"
    try:
        async with asyncio.timeout(_MOST_SECONDS):
            await _check(url)
            return await _post(client, url, json.dumps(body).encode(), message_id)
    except TimeoutError:
        return f"no answer within {_MOST_SECONDS:.0f} s"
    except WebhookRefused as error:
        return str(error)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return type(error).__name__
    except Exception as error:  # noqa: BLE001 - one address must not hold up everybody's messages
        logger.error("A webhook could not be called (%s)", type(error).__name__)
        return type(error).__name__


async def _post(client: httpx.AsyncClient, url: str, content: bytes, message_id: str) -> str:
    headers = {"content-type": "application/json"}
    if settings.WEBHOOK_SECRET:
        headers = signed_headers(settings.WEBHOOK_SECRET, message_id, content, int(time.time()))
    # The answer's body is not read: only its status says whether the message was taken.
    async with client.stream("POST", url, content=content, headers=headers) as response:
        return "" if response.is_success else f"HTTP {response.status_code}"


async def _check(url: str) -> None:
    if settings.ALERT_WEBHOOK_HOSTS:
        AllowedHosts(settings.ALERT_WEBHOOK_HOSTS, "ALERT_WEBHOOK_HOSTS").check(url)
        return
    try:
        parts = read_url(url)
    except ValueError:
        raise WebhookRefused("The webhook is no URL.") from None
    try:
        places = await asyncio.get_running_loop().getaddrinfo(
            parts.host, parts.port or 443, type=socket.SOCK_STREAM
        )
    except (OSError, UnicodeError):  # the latter of a name that no server can have
        return  # a proxy may know the name; if nobody does, the call says so
    for *_, address in places:
        if _hands_out_credentials(str(address[0])):
            raise WebhookRefused("The webhook's host is an address of the machine's own network.")


def _hands_out_credentials(text: str) -> bool:
    """Return whether the address is link-local, where clouds serve a machine's metadata."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address.is_link_local or address in _METADATA
