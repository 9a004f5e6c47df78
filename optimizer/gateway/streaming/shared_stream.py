"""A streamed answer that is read from its provider once, for all clients with the same request.

The first client pays; clients that send the same request meanwhile get the same stream, and
their requests are recorded as served from the cache. The stream is read from the provider as
fast as the fastest client reads it. The call ends when no client is left.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from optimizer.gateway.recording.accounting import Accounting, Recorded, milliseconds_since
from optimizer.gateway.recording.decisions import served_decision
from optimizer.gateway.recording.ledger_entries import CallClock
from optimizer.gateway.recording.unfinished import (
    INTERNAL_ERROR,
    CancelledWithin,
    UnfinishedCall,
    UnfinishedCalls,
    cancelled_from_within,
)
from optimizer.gateway.streaming.event_queue import EventQueue
from providers.assembly import CompletionBuilder, completion_events
from providers.errors import ClientGone, ProviderError
from providers.events import Event, Finished, KeepAlive, Relayed, Started, UsageReported
from providers.resilience import OpenStream
from routing.models import RoutingDecision

# Events that may wait for the fastest reader before the stream is no longer read.
_MOST_WAITING = 256
# After so long without anything from the provider, clients are told that the stream lives.
KEEP_ALIVE_SECONDS = 10.0


class SharedStream:
    """A stream that is read once and given to any number of readers.

    On the client's own wire, readers get the provider's messages; else they get the events.

    ``outcome`` is a task that returns the answer once it is recorded. It raises
    :class:`providers.errors.ProviderError` or
    :class:`analytics.ledger.ledger.LedgerUnavailable`, and is cancelled when no reader is left.

    ``done`` is called with an answer that is complete.
    """

    def __init__(
        self,
        accounting: Accounting,
        unfinished: UnfinishedCalls,
        call: UnfinishedCall,
        decision: RoutingDecision,
        opened: OpenStream,
        clock: CallClock,
        done: Callable[[Recorded], None],
    ) -> None:
        self._accounting = accounting
        self._unfinished = unfinished
        self._call = call
        self._decision = decision
        self._opened = opened
        self._clock = clock
        self._done = done
        self._first_token = milliseconds_since(clock.started)
        self._builder = CompletionBuilder(opened.provider, opened.request)
        self._readers: set[EventQueue] = set()
        self._room = asyncio.Event()
        self._begun = asyncio.Event()
        self._quiet = True
        self.endings: list[Event] = []
        self._relayed: list[Event] | None = None
        self.headers: Mapping[str, str] = opened.headers
        self.served = served_decision(decision, self._builder.completion(), opened.attempts)
        self.outcome: asyncio.Task[Recorded] = asyncio.create_task(self._run())
        if call.reservation is not None:
            call.reservation.hand_to(self.outcome)
        self.outcome.add_done_callback(self._ended)
        self._keep_alive = asyncio.get_running_loop().call_later(
            KEEP_ALIVE_SECONDS, self._keep_readers_alive
        )

    @property
    def alive(self) -> bool:
        """Return whether a reader can still join."""
        return not (self.outcome.done() or self.outcome.cancelling())

    def join(self) -> EventQueue:
        """Return a queue with the stream from its beginning; call :meth:`leave` afterwards."""
        reader = EventQueue(self._events_so_far() if self._begun.is_set() else ())
        if self.outcome.done():
            reader.end()
        self._readers.add(reader)
        self._begun.set()
        return reader

    def leave(self, reader: EventQueue | None = None) -> None:
        """Remove a reader; the provider's call ends when none is left. May be called repeatedly."""
        if reader is not None:
            self._readers.discard(reader)
        self._room.set()
        if self._readers or not self.alive:
            return
        if self._begun.is_set():
            self.outcome.cancel()
        else:
            # A task cancelled before its first step would neither close the stream nor record it.
            self._begun.set()

    def taken(self) -> None:
        """Note that a reader has taken its events, so that the stream is read on."""
        self._room.set()

    def _events_so_far(self) -> Iterator[Event]:
        if self._relayed is not None:
            yield from self._relayed
            return
        for event in completion_events(self._builder.completion()):
            if not isinstance(event, (Finished, UsageReported)):
                yield event

    async def _run(self) -> Recorded:
        try:
            async with aclosing(self._opened.events) as events:
                await self._begun.wait()
                if not self._readers:
                    raise asyncio.CancelledError
                async for event in events:
                    if self._is_ending(event):
                        continue
                    self._quiet = False
                    for reader in self._readers:
                        reader.put(event)
                    await self._wait_for_a_reader()
        except Exception as error:
            await self._settle(error.code if isinstance(error, ProviderError) else INTERNAL_ERROR)
            raise
        except asyncio.CancelledError as error:
            if self._readers and cancelled_from_within(error):
                await self._settle(INTERNAL_ERROR)
                raise CancelledWithin("The stream was cancelled within the service.") from None
            await self._settle(ClientGone.code)
            raise
        recorded = await self._settle("")
        self._done(recorded)
        return recorded

    def _is_ending(self, event: Event) -> bool:
        """Add ``event`` to the answer; return whether readers do not get it now.

        They get what ends the answer once it is recorded. Of a relayed stream they get the
        messages, not the events that were read from them.
        """
        if self._relayed is None:
            self._builder.add(event)
            if isinstance(event, Started) and event.relayed:
                self._relayed = [event]
            elif isinstance(event, Finished):
                self.endings.append(event)
                return True
            return False
        if not isinstance(event, Relayed):
            self._builder.add(event)
            return True
        if self.endings or self._builder.finished:
            self.endings.append(replace(event, ending=True))
            return True
        self._relayed.append(event)
        return False

    async def _wait_for_a_reader(self) -> None:
        while self._readers and min(map(len, self._readers)) >= _MOST_WAITING:
            self._room.clear()
            await self._room.wait()

    def _keep_readers_alive(self) -> None:
        """Tell readers that the stream lives, if nothing has arrived since the last call."""
        if self._quiet:
            for reader in self._readers:
                reader.put(KeepAlive())
        self._quiet = True
        self._keep_alive = asyncio.get_running_loop().call_later(
            KEEP_ALIVE_SECONDS, self._keep_readers_alive
        )

    async def _settle(self, cut_off: str) -> Recorded:
        timing = self._clock.timing(self._first_token)
        completion = self._builder.completion()
        try:
            return await self._accounting.record_answer(
                self._call.analyzed,
                self._decision,
                completion,
                self._opened.attempts,
                timing,
                cut_off=cut_off,
            )
        except (Exception, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and not cancelled_from_within(error):
                raise  # the ledger writes what it has accepted
            call = replace(self._call, completion=completion)
            raise await self._unfinished.end(call, error) from None

    def _ended(self, outcome: asyncio.Task[Recorded]) -> None:
        self._keep_alive.cancel()
        if not outcome.cancelled():
            # Marks the exception as retrieved: if every reader has gone, no other code does.
            outcome.exception()
        for reader in self._readers:
            reader.end()


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

    async def join(
        self, key: str, open_answer: Callable[[], Coroutine[Any, Any, SharedStream]]
    ) -> tuple[SharedStream, bool]:
        """Return the stream under ``key``, and whether it was opened for this caller.

        ``open_answer`` opens it if there is none. Raises what ``open_answer`` raises.
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
        opening = self._by_key.get(key)
        if opening is not None and opening.task is task:
            del self._by_key[key]

    async def drain(self) -> None:
        """Wait until every stream in progress is recorded."""
        while self._by_key:
            tasks = [opening.task for opening in self._by_key.values()]
            streams = await asyncio.gather(*tasks, return_exceptions=True)
            outcomes = [live.outcome for live in streams if isinstance(live, SharedStream)]
            await asyncio.gather(*outcomes, return_exceptions=True)
            await asyncio.sleep(0)
