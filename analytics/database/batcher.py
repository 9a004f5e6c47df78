"""Groups calls that arrive together into one, on a thread that owns its database connection."""

from __future__ import annotations

import asyncio
import atexit
import queue
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from itertools import islice
from operator import itemgetter
from typing import Generic, TypeVar

from django.db import connections

Item = TypeVar("Item")
Result = TypeVar("Result")

_GATHERED_SECONDS = 0.005
"""The longest a caller waits for others to join its batch: a provider takes far longer."""
_IDLE_SECONDS = 80e-6
"""An iteration of an event loop that takes longer did something; an empty one takes 5 to 20 µs."""


def batched(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Yield ``items`` in lists of at most ``size``."""
    source = iter(items)
    while group := list(islice(source, size)):
        yield group


class BatcherClosed(RuntimeError):
    """An item was submitted after the batcher was closed."""


class Batcher(Generic[Item, Result]):
    """Passes items to ``process`` in batches: all items that were queued while it was busy.

    Items from an event loop are gathered until the loop has nothing else to do, for
    :data:`_GATHERED_SECONDS` at most. A single item goes at once; under load, items share a
    batch, and the thread does not compete with the loop for the interpreter. For that, it rests
    after a batch as long as the batch took: most of what a commit costs is the same for one row
    and for twenty.
    ``process`` returns one result per item, in order; a result that is an exception is raised
    to that item's caller alone.
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
        self._queue: queue.SimpleQueue[list[_Queued[Item, Result]] | None] = queue.SimpleQueue()
        self._gathering: dict[asyncio.AbstractEventLoop, list[_Queued[Item, Result]]] = {}
        self._lock = threading.Lock()  # shared by callers, callbacks of the loop, and close
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def submit(self, item: Item) -> Future[Result]:
        """Queue ``item``; the future resolves when its batch is done."""
        future: Future[Result] = Future()
        with self._lock:
            if self._closed:
                raise BatcherClosed(self._thread.name)
            self._queue.put([(item, future)])
        return future

    async def call(self, item: Item) -> Result:
        """Queue ``item`` and wait for its result.

        Cancelling the caller does not remove its item from the queue: it is processed anyway.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()
        with self._lock:
            if self._closed:
                raise BatcherClosed(self._thread.name)
            gathered = self._gathering.setdefault(loop, [])
            gathered.append((item, future))
        if len(gathered) == 1:
            now = time.monotonic()
            loop.call_soon(self._pass_on, loop, 1, now, now + _GATHERED_SECONDS)
        return await future

    def _pass_on(
        self, loop: asyncio.AbstractEventLoop, before: int, since: float, until: float
    ) -> None:
        """Pass the gathered items to the thread, unless the loop was busy since the last look.

        It was if there are more than ``before`` now, or if its iteration took long. ``since`` is
        the time of the last look, and ``until`` the latest time to pass them on: readings of
        ``time.monotonic``.
        """
        number, now = len(self._gathering.get(loop, ())), time.monotonic()
        if (number > before or now - since > _IDLE_SECONDS) and now < until:
            loop.call_soon(self._pass_on, loop, number, now, until)
            return
        with self._lock:
            if gathered := self._gathering.pop(loop, None):  # else ``close`` has taken them
                self._queue.put(gathered)

    def close(self) -> None:
        """Process what is queued, then end the thread and its connection."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            for gathered in self._gathering.values():
                self._queue.put(gathered)
            self._gathering.clear()
            self._queue.put(None)
        self._thread.join()
        atexit.unregister(self.close)

    def _run(self) -> None:
        try:
            rested_at = 0.0
            while (batch := self._queue.get()) is not None:
                if not self._closed and (rest := rested_at - time.monotonic()) > 0:
                    time.sleep(rest)
                began, last = time.monotonic(), False
                while len(batch) < self._max_batch and not self._queue.empty():
                    more = self._queue.get()
                    if more is None:
                        last = True
                        break
                    batch += more
                for start in range(0, len(batch), self._max_batch):
                    self._settle(batch[start : start + self._max_batch])
                ended = time.monotonic()
                rested_at = ended + min(ended - began, _GATHERED_SECONDS)
                if last:
                    return
        finally:
            connections.close_all()

    def _settle(self, batch: list[_Queued[Item, Result]]) -> None:
        results: Sequence[Result | Exception]
        try:
            results = self._process(list(map(_ITEM, batch)))
        except Exception as error:  # noqa: BLE001
            results = [error] * len(batch)
        # One event loop is woken once for all of its callers.
        by_loop: dict[asyncio.AbstractEventLoop, list[_Settled[Result]]] = defaultdict(list)
        for (_, future), result in zip(batch, results, strict=True):
            if isinstance(future, Future):
                _resolve([(future, result)])
            else:
                by_loop[future.get_loop()].append((future, result))
        for loop, waiting in by_loop.items():
            with suppress(RuntimeError):  # the loop has ended, and its callers with it
                loop.call_soon_threadsafe(_resolve, waiting)


_Waiting = Future[Result] | asyncio.Future[Result]
_Queued = tuple[Item, _Waiting[Result]]
_Settled = tuple[_Waiting[Result], Result | Exception]
_ITEM = itemgetter(0)


def _resolve(settled: list[_Settled[Result]]) -> None:
    for future, result in settled:
        if future.done():
            continue  # its caller has been cancelled
        if isinstance(result, Exception):
            future.set_exception(result)
        else:
            future.set_result(result)
