"""Limits the size of request bodies and the time that they take, and reads them whole."""

from __future__ import annotations

import asyncio
import math
from typing import Any

from optimizer.api.http.errors import Failure
from optimizer.server.errors import App, Receive, Scope, Send, send_failure

# Most clients read the answer only after they have sent the whole body. Up to this many
# bytes are read and dropped, so that they see the 413 instead of a connection reset.
_MAX_DRAINED_BYTES = 64 * 1024 * 1024
_DISCONNECTED = {"type": "http.disconnect"}


async def read_body(receive: Receive) -> bytes | None:
    """Return the whole body; ``None`` if the client disconnects before its end."""
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body", False):
        return message.get("body", b"")
    parts = []
    while message["type"] == "http.request":
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)
        message = await receive()
    return None


def _declared_size(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return 0


class ReadBody:
    """Gives a body that has been read to the application, and then what ``receive`` gives."""

    __slots__ = ("_body", "_receive")

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._body: bytes | None = body
        self._receive = receive

    async def __call__(self) -> dict[str, Any]:
        """Return the body as one message, once."""
        body, self._body = self._body, None
        if body is None:
            return await self._receive()
        return {"type": "http.request", "body": body, "more_body": False}


class BodyLimit:
    """Refuses a body of more than ``limit`` bytes with 413, by declared or actual length.

    A body of which nothing arrives for ``seconds`` is refused with 408. So is one that takes
    more than ``most_seconds`` in all, or that after ``seconds`` is behind ``least_rate`` bytes
    a second: a byte now and then keeps no connection open.
    """

    def __init__(
        self,
        app: App,
        limit: int,
        seconds: float,
        *,
        most_seconds: float = math.inf,
        least_rate: float = 1e-9,
    ) -> None:
        self._app = app
        self._limit = limit
        self._seconds = seconds
        self._most_seconds = most_seconds
        self._least_rate = least_rate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 413 or 408."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if _declared_size(scope) > self._limit:
            await self._refuse_large(scope, receive, send)
            return
        size, complete, late = 0, False, ""
        loop = asyncio.get_running_loop()
        began = loop.time()

        async def limited() -> dict[str, Any]:
            nonlocal size, complete, late
            if complete:
                return await receive()
            # The application sees a disconnected client, so it drops what it has read.
            if late or size > self._limit:
                return _DISCONNECTED
            idle, most = loop.time() + self._seconds, began + self._most_seconds
            by_rate = began + self._seconds + size / self._least_rate
            try:
                async with asyncio.timeout_at(min(idle, most, by_rate)):
                    message = await receive()
            except TimeoutError:
                late = self._lateness(min(most, by_rate) < idle, by_rate < most)
                return _DISCONNECTED
            size += len(message.get("body", b""))
            if size > self._limit:
                return _DISCONNECTED
            complete = not message.get("more_body", False)
            return message

        await self._app(scope, limited, send)
        if late:
            await self._refuse_late(scope, send, late)
        elif size > self._limit:
            await self._refuse_large(scope, receive, send)

    def _lateness(self, in_all: bool, by_rate: bool) -> str:
        if not in_all:
            return f"Nothing more of the request body arrived within {self._seconds:g} seconds."
        if by_rate:
            return f"The request body arrived at less than {self._least_rate:g} bytes a second."
        return f"The request body took more than {self._most_seconds:g} seconds."

    async def _refuse_late(self, scope: Scope, send: Send, detail: str) -> None:
        failure = Failure(408, "timeout", detail, code="request_timeout")
        headers = [(b"connection", b"close")]
        await send_failure(send, scope, failure, headers, errors={"body": [detail]})

    async def _refuse_large(self, scope: Scope, receive: Receive, send: Send) -> None:
        drained, more = 0, True
        while more and drained < _MAX_DRAINED_BYTES:
            try:
                async with asyncio.timeout(self._seconds):
                    message = await receive()
            except TimeoutError:
                break
            drained += len(message.get("body", b""))
            more = message.get("more_body", False)
        detail = f"The request body is larger than {self._limit} bytes."
        failure = Failure.of_status(413, detail)
        headers = [(b"connection", b"close")]
        await send_failure(send, scope, failure, headers, errors={"body": [detail]})
