"""The streams in progress, by the key of their request: who joins one, and when it is forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from optimizer.gateway.streaming.shared_stream import SharedStream


class _Opening:
    """A stream that is being opened, and the number of requests that wait for it."""

    def __init__(self, task: asyncio.Task[SharedStream]) -> None:
        self.task = task
        self._waiting = 0

    @property
    def alive(self) -> bool:
        if not self.task.done():
            return not self.task.cancelling()
        return not self.task.cancelled() and not self.task.exception() and self.task.result().alive

    @property
    def running(self) -> bool:
        if not self.task.done():
            return True
        failed = self.task.cancelled() or self.task.exception()
        return not failed and not self.task.result().outcome.done()

    async def wait(self) -> SharedStream:
        self._waiting += 1
        try:
            return await asyncio.shield(self.task)
        except asyncio.CancelledError:
            if self._waiting == 1:
                self._give_up()
            raise
        finally:
            self._waiting -= 1

    def _give_up(self) -> None:
        """End the call, as no request waits for it any more."""
        if not self.task.done():
            self.task.cancel()
        elif not self.task.cancelled() and not self.task.exception():
            self.task.result().leave()


class SharedStreams:
    """The streams in progress, by the key of their request."""

    def __init__(self) -> None:
        self._by_key: dict[str, _Opening] = {}
        self._apart: set[_Opening] = set()

    async def join(
        self, key: str, open_answer: Callable[[], Coroutine[Any, Any, SharedStream]]
    ) -> tuple[SharedStream, bool]:
        """Return the stream under ``key``, and whether it was opened for this caller.

        ``open_answer`` opens it if there is none. Raises what ``open_answer`` raises.
        """
        opening = self._by_key.get(key)
        leads = opening is None or not opening.alive
        if opening is None or leads:
            if opening is not None and opening.running:  # it goes on, but nobody can join it
                self._apart.add(opening)
            opening = self._by_key[key] = _Opening(asyncio.create_task(open_answer()))
            opening.task.add_done_callback(lambda task: self._opened(key, task))
        return await opening.wait(), leads

    def _opened(self, key: str, task: asyncio.Task[SharedStream]) -> None:
        if task.cancelled() or task.exception():
            self._forget(key, task)
        else:
            task.result().outcome.add_done_callback(lambda _: self._forget(key, task))

    def _forget(self, key: str, task: asyncio.Task[SharedStream]) -> None:
        opening = self._by_key.get(key)
        if opening is not None and opening.task is task:
            del self._by_key[key]
        self._apart = {opening for opening in self._apart if opening.task is not task}

    async def drain(self) -> None:
        """Wait until every stream in progress is recorded."""
        while self._by_key or self._apart:
            tasks = [opening.task for opening in (*self._by_key.values(), *self._apart)]
            streams = await asyncio.gather(*tasks, return_exceptions=True)
            outcomes = [live.outcome for live in streams if isinstance(live, SharedStream)]
            await asyncio.gather(*outcomes, return_exceptions=True)
            await asyncio.sleep(0)
