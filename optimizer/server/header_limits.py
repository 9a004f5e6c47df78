"""The server's HTTP protocol with limits on the size of a request's headers and their time.

The parser has no such limits. A client could therefore fill the memory with headers, or keep a
connection open with a byte now and then. The limit of the body is in
:class:`optimizer.server.body_limit.BodyLimit`.
"""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_BYTES = 64 * 1024
SECONDS = 30.0

_TOO_LARGE = b"431 Request Header Fields Too Large"
_TOO_SLOW = b"408 Request Timeout"


class BoundedHead(HttpToolsProtocol):
    """Refuses headers of more than :data:`MAX_BYTES` with 431, and slow headers with 408.

    Headers are slow if they are not complete after :data:`SECONDS`.
    """

    _reading_head = True
    _head_bytes = 0
    _piece_bytes = 0
    _carried_bytes = 0
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the timer for the first request's headers."""
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timer."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count the bytes of the headers; refuse too many."""
        if self._reading_head:
            self._head_bytes += len(data)
            if self._timer is None:
                self._await_head()
        self._piece_bytes = len(data)
        super().data_received(data)
        if self._reading_head and self._head_bytes > MAX_BYTES:
            self._refuse(_TOO_LARGE, "The request's headers are too large.")

    def on_headers_complete(self) -> None:
        """Stop the timer: the headers have arrived."""
        self._reading_head = False
        self._stop_timer()
        # A piece may hold the headers, or their begin, after the end of another request.
        most = max(self._head_bytes + self._carried_bytes, self._piece_bytes)
        if most > MAX_BYTES and self._size() > MAX_BYTES:
            self._refuse(_TOO_LARGE, "The request's headers are too large.")
            raise ValueError("The parser must not go on.")
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer that the request is invalid, unless it was refused for another reason."""
        if not self.transport.is_closing():
            super().send_400_response(msg)

    def _size(self) -> int:
        """Return the bytes of the headers and the URL."""
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def on_message_complete(self) -> None:
        """Expect the headers of the next request."""
        super().on_message_complete()
        self._reading_head = True
        self._head_bytes, self._carried_bytes = 0, self._piece_bytes

    def _await_head(self) -> None:
        self._timer = self.loop.call_later(SECONDS, self._too_slow)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self) -> None:
        self._timer = None
        if self._head_bytes:
            self._refuse(_TOO_SLOW, "The request's headers did not arrive in time.")
        elif not self.transport.is_closing():
            self.transport.close()  # the client never sent a byte

    def _refuse(self, status: bytes, message: str) -> None:
        if self.transport.is_closing():
            return
        body = message.encode()
        self.transport.write(
            b"HTTP/1.1 " + status + b"\r\ncontent-type: text/plain; charset=utf-8\r\n"
            b"content-length: " + str(len(body)).encode() + b"\r\nconnection: close\r\n\r\n" + body
        )
        self.transport.close()
