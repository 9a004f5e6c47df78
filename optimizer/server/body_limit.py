"""Limits the size of request bodies."""

from __future__ import annotations

from typing import Any

from optimizer.api.http.errors import Failure
from optimizer.server.errors import App, Receive, Scope, Send, send_failure

# Most clients read the answer only after they have sent the whole body. Up to this many
# bytes are read and dropped, so that they see the 413 instead of a connection reset.
_MAX_DRAINED_BYTES = 64 * 1024 * 1024


class BodyLimit:
    """Refuses a body of more than ``limit`` bytes with 413, by declared or actual length."""

    def __init__(self, app: App, limit: int) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 413."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        for name, value in scope["headers"]:
            if name == b"content-length" and value.isdigit() and int(value) > self._limit:
                await self._refuse(scope, receive, send)
                return
        size = 0

        async def limited() -> dict[str, Any]:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            # The application sees a disconnected client, so it drops what it has read.
            return {"type": "http.disconnect"} if size > self._limit else message

        await self._app(scope, limited, send)
        if size > self._limit:
            await self._refuse(scope, receive, send)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        drained, more = 0, True
        while more and drained < _MAX_DRAINED_BYTES:
            message = await receive()
            drained += len(message.get("body", b""))
            more = message.get("more_body", False)
        detail = f"The request body is larger than {self._limit} bytes."
        failure = Failure.of_status(413, detail)
        headers = [(b"connection", b"close")]
        await send_failure(send, scope, failure, headers, errors={"body": [detail]})
