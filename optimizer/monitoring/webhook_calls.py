"""Posts messages to webhooks: bounded in time, without redirects, never to a cloud's metadata."""

from __future__ import annotations

import json
import time
from typing import Any

from django.conf import settings

from analytics.encryption import UNREADABLE
from optimizer.shared.webhook_client import WebhookClient
from optimizer.shared.webhooks import AllowedHosts, WebhookRefused, signed_headers


async def webhook_post(
    client: WebhookClient, url: str, body: dict[str, Any], message_id: str
) -> str:
    """Post ``body``; return the error, empty if it was taken.

    It is signed if ``WEBHOOK_SECRET`` is set. With ``ALERT_WEBHOOK_HOSTS``, only these hosts are
    called; without it, every host but those that hand out a machine's credentials.
    """
    if url == UNREADABLE:
        return "its address is encrypted with a key that is not configured"
    hosts = settings.ALERT_WEBHOOK_HOSTS
    if hosts:
        try:
            AllowedHosts(hosts, "ALERT_WEBHOOK_HOSTS").check(url)
        except WebhookRefused as error:
            return str(error)
    content = json.dumps(body).encode()
    headers = {"content-type": "application/json"}
    if settings.WEBHOOK_SECRET:
        headers = signed_headers(settings.WEBHOOK_SECRET, message_id, content, int(time.time()))
    return await client.deliver(url, content, headers, checked=not hosts)
