"""The server's HTTP protocol for clients that end what they send, and read on.

The end of what a client sends says nothing of whether it still reads: one that closes its
connection and one that half-closes it send the same packet. Only a client that has left answers
what is written to it with a reset. So a client that waits for an answer is sent an interim
response, which every client of HTTP/1.1 must be able to read (RFC 9110, 15.2), and the
connection is looked at until it is reset or all its requests are answered. Once an answer has
begun, nothing can be written that is no part of it: such a client counts as one that has left.
"""

from __future__ import annotations

import asyncio
import socket

from optimizer.server.write_limits import BoundedConnection

_LOOKS = (0.02, 0.1, 0.5)
"""Seconds until the connection is looked at; the last one again and again."""
_TCP_INFO = getattr(socket, "TCP_INFO", None)
_TCP_CLOSE = 7
"""The state of a connection that was reset (Linux, net/tcp_states.h)."""
_INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n"


class HalfClosedConnection(BoundedConnection):
    """Answers the requests of a client that has half-closed its connection, and then closes it.

    If the client has left instead, the connection is closed, so that its requests end. Where
    the system does not tell a reset (TCP_INFO is Linux's), such a client counts as one that left.
    """

    _half_closed = False
    _look: asyncio.TimerHandle | None = None

    def eof_received(self) -> bool:  # type: ignore[override]
        """Keep the connection while a whole request of it waits for its answer."""
        cycle = self.cycle
        waiting = cycle is not None and not cycle.response_started and not cycle.more_body
        if not waiting or _TCP_INFO is None or self.scheme == "https":
            return False
        if not self._half_closed:
            self._half_closed = True
            self._look_again(0)
            if not self.pipeline and cycle.scope["http_version"] == "1.1":
                self.transport.write(_INTERIM)
        return True

    def _look_again(self, times: int) -> None:
        seconds = _LOOKS[min(times, len(_LOOKS) - 1)]
        self._look = self.loop.call_later(seconds, self._look_at_connection, times + 1)

    def _look_at_connection(self, times: int) -> None:
        self._look = None
        if self.transport.is_closing():
            return
        made = self.transport.get_extra_info("socket")
        if made.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == _TCP_CLOSE:
            self.transport.abort()
        else:
            self._look_again(times)

    def on_response_complete(self) -> None:
        """Close the connection after the last answer, as no request can follow."""
        last = not self.pipeline
        super().on_response_complete()
        if self._half_closed and last and not self.transport.is_closing():
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop looking."""
        if self._look is not None:
            self._look.cancel()
        super().connection_lost(exc)
