"""Single flight: does identical concurrent work only once."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

Result = TypeVar("Result")
_DRAIN_SECONDS = 5.0
"""How long a shutdown, which has waited for the clients, waits for the work that remains."""


class _Flight(Generic[Result]):
    """Work in progress, by whom it was started, and who waits for it."""

    __slots__ = ("caller", "task", "waiting")

    def __init__(self, task: asyncio.Task[Result], caller: str) -> None:
        self.task = task
        self.caller = caller
        self.waiting: list[asyncio.Future[Result]] = []


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
        self, key: str, work: Callable[[], Coroutine[Any, Any, Result]], caller: str = ""
    ) -> tuple[Result, bool]:
        """Return the result, and whether this caller led (started) the work."""
        flight, loop = self._flights.get(key), asyncio.get_running_loop()
        leads = flight is None
        if flight is None:
            task = loop.create_task(work())
            flight = self._flights[key] = _Flight(task, caller)
            self._tasks.add(task)
            task.add_done_callback(lambda done: self._land(key, flight))
        # A future of its own, as ``asyncio.shield`` makes one, by which no caller ends the work.
        own: asyncio.Future[Result] = loop.create_future()
        flight.waiting.append(own)
        if self._abandoned:
            self._abandoned.pop(flight, None)
        try:
            return await own, leads
        finally:
            if not flight.task.done():
                flight.waiting.remove(own)
                if not flight.waiting:
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
        task = flight.task
        self._tasks.discard(task)
        # Reading it marks an exception as retrieved: if every caller has gone, no other code does.
        error = None if task.cancelled() else task.exception()
        for own in flight.waiting:
            if own.done():
                continue
            if task.cancelled():
                own.cancel()
            elif error is not None:
                own.set_exception(error)
            else:
                own.set_result(task.result())
