"""Events on their way to one reader, who takes all that have come at once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from providers.events import Event


class EventQueue:
    """``put`` by one task, ``take`` by another, both of the same loop."""

    def __init__(self, first: Iterable[Event] = ()) -> None:
        self._events: list[Event] = list(first)
        self._ended = False
        self._news = asyncio.Event()
        if self._events:
            self._news.set()

    def __len__(self) -> int:
        return len(self._events)

    def put(self, event: Event) -> None:
        self._events.append(event)
        self._news.set()

    def end(self) -> None:
        """Nothing more will come."""
        self._ended = True
        self._news.set()

    async def take(self) -> list[Event]:
        """All that has come since the last time; empty when nothing more will."""
        await self._news.wait()
        taken, self._events = self._events, []
        if not self._ended:
            self._news.clear()
        return taken
