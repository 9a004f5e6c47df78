"""The relay between workers: each receives the events that the others record."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from optimizer.monitoring.live.request_event import RequestEvent
from optimizer.shared.redis_channel import Channel

_IDLE_SECONDS = 1.0
"""While there are no listeners, events are not published again before this time has passed."""
_MAX_WAITING = 2_000
_BATCH_SIZE = 200


class Relay:
    """Publishes events to other workers, and receives theirs.

    ``publish`` costs nothing while no worker has watchers. ``on_events`` is called with the
    events of other workers while this one listens. Events that cannot be sent are dropped,
    so that watching never delays requests.
    """

    def __init__(self, redis_url: str, on_events: Callable[[list[RequestEvent]], None]) -> None:
        self._channel = Channel(
            redis_url, "happenings", on_events, "Other workers' requests are not shown live"
        )
        self._waiting: list[RequestEvent] = []
        self._idle_until = 0.0
        self._sending: asyncio.Task[None] | None = None

    @property
    def idle(self) -> bool:
        """Whether there were no listeners at the last attempt, a moment ago."""
        return time.monotonic() < self._idle_until

    def publish(self, event: RequestEvent) -> None:
        """Send the event soon; it is dropped if too many are waiting."""
        if self.idle or len(self._waiting) >= _MAX_WAITING:
            return
        self._waiting.append(event)
        if self._sending is None or self._sending.done():
            self._sending = asyncio.create_task(self._send_waiting())

    def listen(self) -> None:
        """Start to receive the events of other workers."""
        self._channel.listen()

    def stop_listening(self) -> None:
        """Stop receiving the events of other workers."""
        self._channel.stop_listening()

    async def aclose(self) -> None:
        """Drop what is waiting, and close the connection to Redis."""
        if self._sending is not None:
            self._sending.cancel()
            await asyncio.gather(self._sending, return_exceptions=True)
        await self._channel.aclose()

    async def _send_waiting(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:_BATCH_SIZE], self._waiting[_BATCH_SIZE:]
            if await self._channel.publish(batch) <= 0:
                self._waiting = []
                self._idle_until = time.monotonic() + _IDLE_SECONDS
