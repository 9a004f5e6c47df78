"""An answer that is coming in: read from its provider once, for all who asked for it.

Whoever asked first pays; others who ask the same meanwhile hear it too and are
recorded as served from the cache. The provider is read as fast as the fastest
of them reads, and let go when none is left.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import aclosing
from typing import Any

from optimizer.domain.analyzed_request import AnalyzedRequest
from optimizer.gateway.recording.accounting import Accounting, Recorded, milliseconds_since
from optimizer.gateway.recording.decisions import served_decision
from optimizer.gateway.recording.ledger_entries import Timing
from optimizer.gateway.streaming.event_queue import EventQueue
from providers.assembly import CompletionBuilder, completion_events
from providers.errors import ClientGone, ProviderError
from providers.events import Event, Finished, UsageReported
from providers.resilience import OpenStream
from routing.models import RoutingDecision

# Events that may wait for the fastest reader before the provider is held back.
_MOST_WAITING = 256


class SharedStream:
    """``outcome`` is the answer once it is recorded, or why there is none: a
    :class:`providers.errors.ProviderError`,
    :class:`analytics.ledger.ledger.LedgerUnavailable`, or cancelled when nobody was left.

    ``started`` and ``called`` are readings of ``time.perf_counter``; ``done`` is
    told of an answer that came to its end.
    """

    def __init__(
        self,
        accounting: Accounting,
        analyzed: AnalyzedRequest,
        decision: RoutingDecision,
        opened: OpenStream,
        *,
        started: float,
        called: float,
        done: Callable[[Recorded], None],
    ) -> None:
        self._accounting = accounting
        self._analyzed = analyzed
        self._decision = decision
        self._opened = opened
        self._started = started
        self._called = called
        self._done = done
        self._first_token = milliseconds_since(started)
        self._collector = CompletionBuilder(opened.provider, opened.request)
        self._readers: set[EventQueue] = set()
        self._room = asyncio.Event()
        self._begun = asyncio.Event()
        self.endings: list[Event] = []
        self.served = served_decision(decision, self._collector.completion(), opened.attempts)
        self.outcome: asyncio.Task[Recorded] = asyncio.create_task(self._run())
        self.outcome.add_done_callback(self._ended)

    @property
    def alive(self) -> bool:
        """Whether it can still be joined."""
        return not (self.outcome.done() or self.outcome.cancelling())

    def join(self) -> EventQueue:
        """Hear it from the beginning; leave with :meth:`leave`."""
        reader = EventQueue(self._said_so_far() if self._begun.is_set() else ())
        if self.outcome.done():
            reader.end()
        self._readers.add(reader)
        self._begun.set()
        return reader

    def leave(self, reader: EventQueue | None = None) -> None:
        """Any number of times. When nobody is left the provider's call ends."""
        if reader is not None:
            self._readers.discard(reader)
        self._room.set()
        if self._readers or not self.alive:
            return
        if self._begun.is_set():
            self.outcome.cancel()
        else:
            # A task cancelled before its first step would neither close nor record anything.
            self._begun.set()

    def taken(self) -> None:
        """A reader has made room."""
        self._room.set()

    def _said_so_far(self) -> Iterator[Event]:
        for event in completion_events(self._collector.completion()):
            if not isinstance(event, (Finished, UsageReported)):
                yield event

    async def _run(self) -> Recorded:
        try:
            async with aclosing(self._opened.events) as events:
                await self._begun.wait()
                if not self._readers:
                    raise asyncio.CancelledError
                async for event in events:
                    self._collector.add(event)
                    if isinstance(event, Finished):
                        self.endings.append(event)
                        continue
                    for reader in self._readers:
                        reader.put(event)
                    await self._wait_for_a_reader()
        except Exception as error:
            await self._settle(error.code if isinstance(error, ProviderError) else "internal_error")
            raise
        except asyncio.CancelledError:
            await self._settle(ClientGone.code)
            raise
        booked = await self._settle("")
        self._done(booked)
        return booked

    async def _wait_for_a_reader(self) -> None:
        while self._readers and min(map(len, self._readers)) >= _MOST_WAITING:
            self._room.clear()
            await self._room.wait()

    def _settle(self, cut_off: str) -> Awaitable[Recorded]:
        timing = Timing(
            milliseconds_since(self._started), milliseconds_since(self._called), self._first_token
        )
        return self._accounting.record_answer(
            self._analyzed,
            self._decision,
            self._collector.completion(),
            self._opened.attempts,
            timing,
            cut_off=cut_off,
        )

    def _ended(self, outcome: asyncio.Task[Recorded]) -> None:
        if not outcome.cancelled():
            # Mark as seen: when every reader has gone, nobody else will retrieve it.
            outcome.exception()
        for reader in self._readers:
            reader.end()


class _Opening:
    """An answer that is being opened, and those who wait for that."""

    def __init__(self, task: asyncio.Task[SharedStream]) -> None:
        self.task = task
        self._waiting = 0

    @property
    def alive(self) -> bool:
        if not self.task.done():
            return not self.task.cancelling()
        return not self.task.cancelled() and not self.task.exception() and self.task.result().alive

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
        """Nobody waits any more."""
        if not self.task.done():
            self.task.cancel()
        elif not self.task.cancelled() and not self.task.exception():
            self.task.result().leave()


class SharedStreams:
    """The answers that are coming in now, by what was asked."""

    def __init__(self) -> None:
        self._by_key: dict[str, _Opening] = {}

    async def join(
        self, key: str, open_answer: Callable[[], Coroutine[Any, Any, SharedStream]]
    ) -> tuple[SharedStream, bool]:
        """The answer under ``key``, opened if there is none, and whether it was opened for
        this caller. Raises what ``open_answer`` does.
        """
        opening = self._by_key.get(key)
        leads = opening is None or not opening.alive
        if opening is None or leads:
            opening = self._by_key[key] = _Opening(asyncio.create_task(open_answer()))
            opening.task.add_done_callback(lambda task: self._opened(key, task))
        return await opening.wait(), leads

    def _opened(self, key: str, task: asyncio.Task[SharedStream]) -> None:
        if task.cancelled() or task.exception():
            self._forget(key, task)
        else:
            task.result().outcome.add_done_callback(lambda _: self._forget(key, task))

    def _forget(self, key: str, task: asyncio.Task[SharedStream]) -> None:
        found = self._by_key.get(key)
        if found is not None and found.task is task:
            del self._by_key[key]

    async def drain(self) -> None:
        """Wait until every one of them is recorded."""
        while self._by_key:
            tasks = [opening.task for opening in self._by_key.values()]
            found = await asyncio.gather(*tasks, return_exceptions=True)
            outcomes = [live.outcome for live in found if isinstance(live, SharedStream)]
            await asyncio.gather(*outcomes, return_exceptions=True)
            await asyncio.sleep(0)
