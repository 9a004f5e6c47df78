"""Posts messages to webhooks: bounded in time, without redirects, never to a cloud's metadata."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from typing import Any

import httpx
from django.conf import settings

from analytics.encryption import UNREADABLE
from optimizer.monitoring.webhook_client import WebhookClient
from optimizer.shared.webhooks import AllowedHosts, WebhookRefused, signed_headers

logger = logging.getLogger(__name__)

_MOST_SECONDS = 8.0
"""For the whole call: a server that sends a byte now and then resets every other limit."""


async def webhook_post(
    client: WebhookClient, url: str, body: dict[str, Any], message_id: str
) -> str:
    """Post ``body``; return the error, empty if it was taken.

    It is signed if ``WEBHOOK_SECRET`` is set. With ``ALERT_WEBHOOK_HOSTS``, only these hosts are
    called; without it, every host but those that hand out a machine's credentials.
    """
    if url == UNREADABLE:
        return "its address is encrypted with a key that is not configured"
    try:
        async with asyncio.timeout(_MOST_SECONDS):
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


async def _post(client: WebhookClient, url: str, content: bytes, message_id: str) -> str:
    hosts = settings.ALERT_WEBHOOK_HOSTS
    if hosts:
        AllowedHosts(hosts, "ALERT_WEBHOOK_HOSTS").check(url)
    headers = {"content-type": "application/json"}
    if settings.WEBHOOK_SECRET:
        headers = signed_headers(settings.WEBHOOK_SECRET, message_id, content, int(time.time()))
    try:
        # Only the status says whether the message was taken.
        status = await client.post(url, content, headers, checked=not hosts)
    except WebhookRefused:
        raise
    except ValueError:
        raise WebhookRefused("The webhook is no URL.") from None
    return "" if 200 <= status < 300 else f"HTTP {status}"
