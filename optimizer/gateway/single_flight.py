"""Single flight: does identical concurrent work only once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

Result = TypeVar("Result")


class SingleFlight(Generic[Result]):
    """Runs ``work`` once per key at a time; concurrent callers with that key share the result.

    The work continues if its caller goes away: the provider will charge for the call, so it
    must be recorded, whether or not a caller still waits.
    """

    def __init__(self) -> None:
        self._flights: dict[str, asyncio.Task[Result]] = {}

    async def run(self, key: str, work: Callable[[], Awaitable[Result]]) -> tuple[Result, bool]:
        """Return the result, and whether this caller led (started) the work."""
        task = self._flights.get(key)
        leads = task is None
        if task is None:
            task = asyncio.ensure_future(work())  # type: ignore[assignment]
            assert task is not None
            self._flights[key] = task
            task.add_done_callback(lambda done: self._land(key, done))
        return await asyncio.shield(task), leads

    async def drain(self) -> None:
        """Wait for everything in flight."""
        await asyncio.gather(*self._flights.values(), return_exceptions=True)

    def _land(self, key: str, task: asyncio.Task[Result]) -> None:
        self._flights.pop(key, None)
        if not task.cancelled():
            # Marks the exception as retrieved: if every caller has gone, no other code does.
            task.exception()
