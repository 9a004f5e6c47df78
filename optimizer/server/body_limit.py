"""Limits the size of request bodies and the time that they take, and reads them whole."""

from __future__ import annotations

import asyncio
import math
import types
from collections.abc import Generator
from typing import Any

from optimizer.api.http.failure import Failure
from optimizer.server.errors import App, Receive, Scope, Send, send_failure

# Most clients read the answer only after they have sent the whole body. Up to this many
# bytes are read and dropped, so that they see the 413 instead of a connection reset.
_MAX_DRAINED_BYTES = 64 * 1024 * 1024
_JOINED_AT_ONCE = 2 * 1024 * 1024
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
            if sum(map(len, parts)) < _JOINED_AT_ONCE:
                return b"".join(parts)
            # It takes 20 ms where the memory is new, in which the interpreter is free.
            return await asyncio.to_thread(b"".join, parts)
        message = await receive()
    return None


@types.coroutine
def _go_on(steps: Generator[Any, Any, Any], waited: Any) -> Generator[Any, Any, Any]:
    """Await the rest of ``steps``, whose first step waits for ``waited``."""
    while True:
        try:
            yield waited
            break
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is for ``steps``
            try:
                waited = steps.throw(error)
            except StopIteration as ended:
                return ended.value
    return (yield from steps)


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


class _Body:
    """Receives a body within the limits of :class:`BodyLimit`, and then what ``receive`` gives.

    ``late`` says why it took too long, "" if it did not.
    """

    __slots__ = (
        "_began", "_complete", "_least_rate", "_limit", "_loop", "_most_seconds", "_receive",
        "_seconds", "late", "size",
    )  # fmt: skip

    def __init__(
        self, receive: Receive, limit: int, seconds: float, most_seconds: float, least_rate: float
    ) -> None:
        self._receive, self._limit, self._seconds = receive, limit, seconds
        self._most_seconds, self._least_rate = most_seconds, least_rate
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._complete, self.size, self.late = False, 0, ""

    async def __call__(self) -> dict[str, Any]:
        """Return the next message; a body beyond the limits looks like a client that left."""
        if self._complete:
            return await self._receive()
        if self.late or self.size > self._limit:
            return _DISCONNECTED
        steps = self._receive().__await__()
        try:
            waited = next(steps)
        except StopIteration as arrived:  # mostly, and a timer would take longer than this
            message = arrived.value
        else:
            message = await self._in_time(steps, waited)
        self.size += len(message.get("body", b""))
        if self.size > self._limit:
            return _DISCONNECTED
        self._complete = not message.get("more_body", False)
        return message

    async def _in_time(self, steps: Generator[Any, Any, Any], waited: Any) -> Any:
        idle, most = self._loop.time() + self._seconds, self._began + self._most_seconds
        by_rate = self._began + self._seconds + self.size / self._least_rate
        try:
            async with asyncio.timeout_at(min(idle, most, by_rate)):
                return await _go_on(steps, waited)
        except TimeoutError:
            if idle <= min(most, by_rate):
                seconds = f"{self._seconds:g} seconds"
                self.late = f"Nothing more of the request body arrived within {seconds}."
            elif by_rate < most:
                self.late = (
                    f"The request body arrived at less than {self._least_rate:g} bytes a second."
                )
            else:
                self.late = f"The request body took more than {self._most_seconds:g} seconds."
            return _DISCONNECTED


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
        body = _Body(receive, self._limit, self._seconds, self._most_seconds, self._least_rate)
        await self._app(scope, body, send)
        if body.late:
            await self._refuse_late(scope, send, body.late)
        elif body.size > self._limit:
            await self._refuse_large(scope, receive, send)

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
