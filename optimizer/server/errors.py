"""Sends errors found before Django, in the format of the API at the path."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from optimizer.api.compat.error_format import error_of_path
from optimizer.api.http.failures import Failure

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Header = tuple[bytes, bytes]


async def send_failure(
    send: Send, path: str, failure: Failure, headers: Iterable[Header] = (), **more: Any
) -> None:
    """Send ``failure`` as JSON; ``more`` adds fields to the error format of our own API."""
    own_body = {"detail": failure.message, "status_code": failure.status, **more}
    body = error_of_path(path, failure) or own_body
    head = [(b"content-type", b"application/json"), *headers]
    await send({"type": "http.response.start", "status": failure.status, "headers": head})
    await send({"type": "http.response.body", "body": json.dumps(body).encode()})
