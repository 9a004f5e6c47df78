"""The current watchers, and the events that each of them has not read yet."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from analytics.ledger.ledger import LedgerEntry
from analytics.models import RequestRecord
from optimizer.monitoring.live.relay import Relay
from optimizer.monitoring.live.request_event import RequestEvent, request_event

_MAX_WATCHERS = 32
_MAX_UNREAD = 500


class TooManyWatchers(Exception):
    """The worker has the maximum number of watchers."""


class Watcher:
    """The unread events of one reader; beyond some hundreds the oldest are ``missed``."""

    def __init__(self) -> None:
        self._unread: deque[RequestEvent] = deque(maxlen=_MAX_UNREAD)
        self._changed = asyncio.Event()
        self.missed = 0
        self.over = False

    def put(self, event: RequestEvent) -> None:
        """Add an event, and wake the reader."""
        self.missed += len(self._unread) == _MAX_UNREAD
        self._unread.append(event)
        self._changed.set()

    def end(self) -> None:
        """Tell the reader that no more events follow."""
        self.over = True
        self._changed.set()

    async def take(self, seconds: float) -> list[RequestEvent]:
        """Wait for events and return all unread ones.

        Returns an empty list after ``seconds`` without an event, and at the end.
        """
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            return []
        events = list(self._unread)
        self._unread.clear()
        if not self.over:
            self._changed.clear()
        return events


class Feed:
    """Sends recorded requests to the watchers.

    ``publish`` is cheap while there are no watchers. With ``redis_url``, watchers also receive
    what other workers record. Everything runs on the event loop.
    """

    def __init__(self, redis_url: str = "") -> None:
        self._watchers: set[Watcher] = set()
        self._relay = Relay(redis_url, self._distribute) if redis_url else None
        self._ended = False

    def observe(self, entry: LedgerEntry) -> None:
        """Publish a request that was recorded."""
        self.publish(entry.request)

    def publish(self, request: RequestRecord) -> None:
        """Send ``request``, which has been recorded, to all watchers."""
        if not self._watchers and (self._relay is None or self._relay.idle):
            return
        event = request_event(request)
        self._distribute([event])
        if self._relay is not None:
            self._relay.publish(event)

    @contextmanager
    def watch(self) -> Iterator[Watcher]:
        """Yield a watcher that receives all events from now on. Raises :class:`TooManyWatchers`."""
        if len(self._watchers) >= _MAX_WATCHERS:
            raise TooManyWatchers(f"{_MAX_WATCHERS} already watch on this worker.")
        watcher = Watcher()
        if self._ended:
            watcher.end()
        self._watchers.add(watcher)
        if self._relay is not None:
            self._relay.listen()
        try:
            yield watcher
        finally:
            self._watchers.discard(watcher)
            if not self._watchers and self._relay is not None:
                self._relay.stop_listening()

    def end(self) -> None:
        """End all watchers, present and future, because the server waits for open responses."""
        self._ended = True
        for watcher in self._watchers:
            watcher.end()

    async def aclose(self) -> None:
        """End all watchers, and close the connection to Redis."""
        self.end()
        if self._relay is not None:
            await self._relay.aclose()

    def _distribute(self, events: list[RequestEvent]) -> None:
        for watcher in self._watchers:
            for event in events:
                watcher.put(event)
