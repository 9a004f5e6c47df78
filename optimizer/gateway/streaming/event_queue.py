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
        self._news = asyncio.Event()
        if self._events:
            self._news.set()

    def __len__(self) -> int:
        return len(self._events)

    def put(self, event: Event) -> None:
        """Add an event."""
        self._events.append(event)
        self._news.set()

    def end(self) -> None:
        """Mark the queue as ended: no more events will come."""
        self._ended = True
        self._news.set()

    async def take(self) -> list[Event]:
        """Wait for events and return all that have arrived; an empty list once the queue ended."""
        await self._news.wait()
        events, self._events = self._events, []
        if not self._ended:
            self._news.clear()
        return events
