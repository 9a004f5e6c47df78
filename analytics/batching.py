"""Group calls that arrive together into one, on a thread that owns its database connection."""

from __future__ import annotations

import asyncio
import atexit
import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from itertools import islice
from typing import Generic, TypeVar

from django.db import connections

Item = TypeVar("Item")
Result = TypeVar("Result")


def batched(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """``items`` in lists of at most ``size``."""
    source = iter(items)
    while group := list(islice(source, size)):
        yield group


class BatcherClosed(RuntimeError):
    """Submitted after the batcher was closed."""


class Batcher(Generic[Item, Result]):
    """Hands items to ``process`` in batches: whatever has queued while it was busy.

    No timer delays anyone: alone, an item goes at once; under load, batches
    grow by themselves. ``process`` returns one result per item, in order; a
    result that is an exception is raised to that item's caller alone.
    """

    def __init__(
        self,
        name: str,
        process: Callable[[Sequence[Item]], Sequence[Result | Exception]],
        *,
        max_batch: int = 256,
    ) -> None:
        self._process = process
        self._max_batch = max_batch
        self._queue: queue.SimpleQueue[tuple[Item, Future[Result]] | None] = queue.SimpleQueue()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def submit(self, item: Item) -> Future[Result]:
        """Queue ``item``; the future resolves when its batch is done."""
        if self._closed:
            raise BatcherClosed(self._thread.name)
        future: Future[Result] = Future()
        self._queue.put((item, future))
        return future

    async def call(self, item: Item) -> Result:
        """Queue ``item`` and wait for its result.

        A caller that is cancelled does not take its item back: what was queued is processed.
        """
        return await asyncio.shield(asyncio.wrap_future(self.submit(item)))

    def close(self) -> None:
        """Process what is queued, then end the thread and its connection."""
        if not self._closed:
            self._closed = True
            self._queue.put(None)
            self._thread.join()
            atexit.unregister(self.close)

    def _run(self) -> None:
        try:
            while (first := self._queue.get()) is not None:
                batch = [first]
                last = False
                while len(batch) < self._max_batch and not self._queue.empty():
                    item = self._queue.get()
                    if item is None:
                        last = True
                        break
                    batch.append(item)
                self._settle(batch)
                if last:
                    return
        finally:
            connections.close_all()

    def _settle(self, batch: list[tuple[Item, Future[Result]]]) -> None:
        try:
            results = self._process([item for item, _ in batch])
        except Exception as error:  # noqa: BLE001
            for _, future in batch:
                future.set_exception(error)
            return
        for (_, future), result in zip(batch, results, strict=True):
            if isinstance(result, Exception):
                future.set_exception(result)
            else:
                future.set_result(result)
