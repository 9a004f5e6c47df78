"""Who watches now, and what each has not read yet."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from analytics.ledger.ledger import LedgerEntry
from analytics.models import RequestRecord
from optimizer.monitoring.live.relay import Relay
from optimizer.monitoring.live.request_event import Happening, request_event

_MOST_WATCHERS = 32
_MOST_UNREAD = 500


class TooManyWatch(Exception):
    """No more can be told at once."""


class Watcher:
    """What one reader has not taken yet; beyond some hundreds the oldest are ``missed``."""

    def __init__(self) -> None:
        self._unread: deque[Happening] = deque(maxlen=_MOST_UNREAD)
        self._news = asyncio.Event()
        self.missed = 0
        self.over = False

    def put(self, event: Happening) -> None:
        self.missed += len(self._unread) == _MOST_UNREAD
        self._unread.append(event)
        self._news.set()

    def end(self) -> None:
        self.over = True
        self._news.set()

    async def take(self, patience: float) -> list[Happening]:
        """All that has come; nothing if it takes longer than ``patience`` seconds, or at the
        end.
        """
        try:
            async with asyncio.timeout(patience):
                await self._news.wait()
        except TimeoutError:
            return []
        taken = list(self._unread)
        self._unread.clear()
        if not self.over:
            self._news.clear()
        return taken


class Feed:
    """``tell`` is cheap while nobody watches. With ``redis_url``, what other workers record is
    heard too. Everything happens on the event loop.
    """

    def __init__(self, redis_url: str = "") -> None:
        self._watchers: set[Watcher] = set()
        self._relay = Relay(redis_url, self._spread) if redis_url else None
        self._over = False

    def observe(self, entry: LedgerEntry) -> None:
        """Publish a request that was recorded."""
        self.publish(entry.request)

    def publish(self, request: RequestRecord) -> None:
        """Show ``request`` to everyone who watches, on all workers."""
        if not self._watchers and (self._relay is None or self._relay.idle):
            return
        event = request_event(request)
        self._spread([event])
        if self._relay is not None:
            self._relay.publish(event)

    @contextmanager
    def watch(self) -> Iterator[Watcher]:
        """Hear of everything from now on. Raises :class:`TooManyWatch`."""
        if len(self._watchers) >= _MOST_WATCHERS:
            raise TooManyWatch(f"{_MOST_WATCHERS} already watch on this worker.")
        watcher = Watcher()
        if self._over:
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
        """Let everybody go, now and from now on: the server waits for open answers."""
        self._over = True
        for watcher in self._watchers:
            watcher.end()

    async def aclose(self) -> None:
        self.end()
        if self._relay is not None:
            await self._relay.aclose()

    def _spread(self, happenings: list[Happening]) -> None:
        for watcher in self._watchers:
            for event in happenings:
                watcher.put(event)
