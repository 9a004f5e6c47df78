"""The server's HTTP protocol with a limit on the time that a client takes to read its answer.

What a client does not read waits in this process, for as long as the client likes: a stream keeps
its place and its provider's call, a whole answer its memory.
"""

from __future__ import annotations

import asyncio
import logging

from django.conf import settings

from optimizer.server.header_limits import BoundedHead

logger = logging.getLogger(__name__)

BYTES_PER_SECOND = 1024
"""The slowest that a client may read what waits for it."""


class BoundedConnection(BoundedHead):
    """Ends the connection of a client that reads too slowly.

    While more than the transport's buffer waits, the client must read at least
    :data:`BYTES_PER_SECOND` in each ``READER_TIMEOUT`` seconds. Its request sees a client that
    has left, so the call ends, and what was served is recorded.
    """

    _reading: asyncio.TimerHandle | None = None
    _unread = 0

    def pause_writing(self) -> None:
        """Stop the application, and give the client its time."""
        super().pause_writing()
        self._give_time()

    def resume_writing(self) -> None:
        """Let the application go on: the client has read enough."""
        self._stop_reading_timer()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timer."""
        self._stop_reading_timer()
        super().connection_lost(exc)

    def _give_time(self) -> None:
        self._unread = self.transport.get_write_buffer_size()
        self._reading = self.loop.call_later(settings.READER_TIMEOUT, self._check_reader)

    def _check_reader(self) -> None:
        self._reading = None
        read = self._unread - self.transport.get_write_buffer_size()
        if read >= BYTES_PER_SECOND * settings.READER_TIMEOUT:
            self._give_time()
            return
        logger.warning("A client reads its answer too slowly: its connection is closed")
        self.transport.abort()

    def _stop_reading_timer(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None
