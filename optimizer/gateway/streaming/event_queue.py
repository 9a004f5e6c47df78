"""A queue of events for one reader, which takes all waiting events at once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from providers.events import Event


class EventQueue:
    """A queue between two tasks of one event loop: one calls ``put``, the other ``take``."""

    def __init__(self, first: Iterable[Event] = ()) -> None:
        self._events: list[Event] = list(first)
        self._ended = False
        self.weight = 0
        """About how many bytes wait."""
        self.dropped = False
        """Whether the reader was given up, as too much waited for it."""
        self._news = asyncio.Event()
        if self._events:
            self._news.set()

    def __len__(self) -> int:
        return len(self._events)

    def put(self, event: Event, weight: int = 0) -> None:
        """Add an event of about ``weight`` bytes."""
        self._events.append(event)
        self.weight += weight
        self._news.set()

    def end(self) -> None:
        """Mark the queue as ended: no more events will come."""
        self._ended = True
        self._news.set()

    def drop(self) -> None:
        """End the queue without what waits in it."""
        self._events, self.weight, self.dropped = [], 0, True
        self.end()

    async def take(self) -> list[Event]:
        """Wait for events and return all that have arrived; an empty list once the queue ended."""
        await self._news.wait()
        events, self._events, self.weight = self._events, [], 0
        if not self._ended:
            self._news.clear()
        return events
