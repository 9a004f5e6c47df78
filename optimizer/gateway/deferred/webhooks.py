"""Calls the webhooks of deferred requests that have ended, signed, and only at allowed hosts."""

from __future__ import annotations

import json
import time
from collections.abc import Collection
from datetime import timedelta
from typing import Any

from analytics.models import DeferredRequest
from optimizer.shared.webhook_client import WebhookClient
from optimizer.shared.webhooks import AllowedHosts, WebhookRefused, signed_headers

MOST_ATTEMPTS = 12


class Webhooks:
    """Calls webhooks at ``hosts`` (:class:`optimizer.shared.webhooks.AllowedHosts`).

    Calls are signed with ``secret``. Redirects are not followed, so no other host is ever called,
    and no address of an allowed host that hands out a machine's credentials.
    """

    def __init__(self, hosts: Collection[str], secret: str) -> None:
        self._allowed = AllowedHosts(hosts, "WEBHOOK_HOSTS")
        self._secret = secret

    def check(self, url: str) -> None:
        """Raise :class:`optimizer.shared.webhooks.WebhookRefused` if it must not be called."""
        self._allowed.check(url)

    async def call(self, client: WebhookClient, row: DeferredRequest) -> str:
        """Call the webhook of a request that has ended; return the error, empty if it took it."""
        try:
            self.check(row.webhook)
        except WebhookRefused as error:
            return str(error)
        body = json.dumps(webhook_body(row)).encode()
        headers = signed_headers(self._secret, str(row.pk), body, int(time.time()))
        return await client.deliver(row.webhook, body, headers, checked=True)


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
