"""Single flight: does identical concurrent work only once."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

Result = TypeVar("Result")
_DRAIN_SECONDS = 5.0
"""How long a shutdown, which has waited for the clients, waits for the work that remains."""


class _Flight(Generic[Result]):
    """Work in progress, by whom it was started, and how many wait for it."""

    __slots__ = ("caller", "task", "waiting")

    def __init__(self, task: asyncio.Task[Result], caller: str) -> None:
        self.task = task
        self.caller = caller
        self.waiting = 0


class SingleFlight(Generic[Result]):
    """Runs ``work`` once per key at a time; concurrent callers with that key share the result.

    The work continues if its caller goes away: the provider will charge for the call, so it
    must be recorded, whether or not a caller still waits. So that nobody piles up calls by leaving,
    at most ``most_abandoned`` (0: any number) continue without a caller. Beyond them, the oldest of
    the caller with most is cancelled, which records what it may cost.
    """

    def __init__(self, most_abandoned: int = 0) -> None:
        self._most_abandoned = most_abandoned or float("inf")
        self._flights: dict[str, _Flight[Result]] = {}
        self._tasks: set[asyncio.Task[Result]] = set()
        # The oldest first.
        self._abandoned: dict[_Flight[Result], str] = {}

    async def run(
        self, key: str, work: Callable[[], Awaitable[Result]], caller: str = ""
    ) -> tuple[Result, bool]:
        """Return the result, and whether this caller led (started) the work."""
        flight = self._flights.get(key)
        leads = flight is None
        if flight is None:
            task: asyncio.Task[Result] = asyncio.ensure_future(work())  # type: ignore[assignment]
            flight = self._flights[key] = _Flight(task, caller)
            self._tasks.add(task)
            task.add_done_callback(lambda done: self._land(key, flight))
        flight.waiting += 1
        self._abandoned.pop(flight, None)
        try:
            return await asyncio.shield(flight.task), leads
        finally:
            flight.waiting -= 1
            if not flight.waiting and not flight.task.done():
                self._abandon(key, flight)

    async def drain(self) -> None:
        """Wait for everything in flight, and cancel what takes longer than a few seconds."""
        if not self._tasks:
            return
        _, late = await asyncio.wait(self._tasks, timeout=_DRAIN_SECONDS)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    def _abandon(self, key: str, flight: _Flight[Result]) -> None:
        """Let the work continue without a caller, and cancel other such work if it is too much."""
        self._abandoned[flight] = key
        if len(self._abandoned) <= self._most_abandoned:
            return
        ((busiest, _),) = Counter(left.caller for left in self._abandoned).most_common(1)
        oldest = next(left for left in self._abandoned if left.caller == busiest)
        # Nobody may join work that is being cancelled.
        del self._flights[self._abandoned.pop(oldest)]
        oldest.task.cancel()

    def _land(self, key: str, flight: _Flight[Result]) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]
        self._abandoned.pop(flight, None)
        self._tasks.discard(flight.task)
        if not flight.task.cancelled():
            # Marks the exception as retrieved: if every caller has gone, no other code does.
            flight.task.exception()
