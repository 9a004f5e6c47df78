"""A streamed answer that is read from its provider once, for all clients with the same request.

The first client pays; clients that send the same request meanwhile get the same stream, and
their requests are recorded as served from the cache. The stream is read from the provider as
fast as the fastest client reads it. The call ends when no client is left.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

from optimizer.gateway.recording.accounting import Accounting, Recorded
from optimizer.gateway.recording.decisions import served_decision
from optimizer.gateway.recording.timing import CallClock, milliseconds_since
from optimizer.gateway.recording.unfinished import (
    INTERNAL_ERROR,
    CancelledWithin,
    UnfinishedCall,
    UnfinishedCalls,
    cancelled_from_within,
)
from optimizer.gateway.streaming.event_queue import EventQueue
from optimizer.gateway.streaming.progress import StreamProgress
from providers.assembly import CompletionBuilder, completion_events
from providers.errors import ClientGone, MalformedResponse, ProviderError, ProviderTimeout
from providers.events import Event, Finished, KeepAlive, Relayed, Started, UsageReported
from providers.resilience import OpenStream
from providers.stream_bounds import weight
from routing.models import RoutingDecision

# Bytes that may wait for the fastest reader before the stream is no longer read (256 tokens).
_MOST_WAITING = 256 * 1024
# Bytes that may wait for a slower reader before it is given up, that are kept for readers that
# join later, and that may come after the end of the answer.
_MOST_KEPT = 8 * 1024 * 1024
# After so long without anything from the provider, clients are told that the stream lives.
KEEP_ALIVE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """How long a stream may take in all (``total``), and without content (``idle``), in seconds."""

    total: float = 3600.0
    idle: float = 600.0


STREAM_LIMITS = StreamLimits()


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
        limits: StreamLimits = STREAM_LIMITS,
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
        self._progress = StreamProgress(call.reservation) if call.reservation else None
        self._readers: set[EventQueue] = set()
        self._room = asyncio.Event()
        self._begun = asyncio.Event()
        self._quiet = True
        self._kept = self._weight_of_endings = 0
        self._joinable = True
        self._limits = limits
        self._began = self._content_at = time.monotonic()
        self._late = ""
        self.provider = opened.provider
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
        self._deadline = asyncio.get_running_loop().call_later(0, self._check_deadline)

    @property
    def alive(self) -> bool:
        """Return whether a reader can still join."""
        return self._joinable and not (self.outcome.done() or self.outcome.cancelling())

    def join(self) -> EventQueue:
        """Return a queue with the stream from its beginning; call :meth:`leave` afterwards."""
        reader = EventQueue(self._events_so_far() if self._begun.is_set() else ())
        if not self._joinable:
            reader.drop()
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
        if self._readers or self.outcome.done() or self.outcome.cancelling():
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
                    self._give(event)
                    await self._wait_for_a_reader()
                self._deadline.cancel()
        except Exception as error:
            await self._settle(error.code if isinstance(error, ProviderError) else INTERNAL_ERROR)
            raise
        except asyncio.CancelledError as error:
            if self._late:
                self._task().uncancel()
                await self._settle(ProviderTimeout.code)
                raise ProviderTimeout(self.provider, self._late) from None
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
            self._add(event)
            if isinstance(event, Started) and event.relayed:
                self._relayed = []  # the caller keeps it
            elif isinstance(event, Finished):
                self._add_ending(event)
                return True
            return False
        if not isinstance(event, Relayed):
            self._add(event)
            return True
        if self.endings or self._builder.finished:
            self._add_ending(replace(event, ending=True))
            return True
        return False

    def _add(self, event: Event) -> None:
        self._builder.add(event)
        if _is_content(event):
            self._content_at = time.monotonic()
        if self._progress is not None:
            self._progress.add(event)

    def _add_ending(self, event: Event) -> None:
        self._weight_of_endings += weight(event)
        if self._weight_of_endings > _MOST_KEPT:
            raise MalformedResponse(self.provider, "went on and on after the end of its answer")
        self.endings.append(event)

    def _give(self, event: Event) -> None:
        size = weight(event)
        for reader in self._readers:
            reader.put(event, size)
            if reader.weight > _MOST_KEPT + size:
                reader.drop()
        if self._relayed is not None:
            self._keep(event, size)

    def _keep(self, event: Event, size: int) -> None:
        """Keep a message for readers that join later, until there are too many."""
        self._kept += size
        if self._kept > _MOST_KEPT:
            self._joinable = False
            self._relayed = []
        elif self._joinable and self._relayed is not None:
            self._relayed.append(event)

    async def _wait_for_a_reader(self) -> None:
        while self._readers and min(r.weight for r in self._readers) >= _MOST_WAITING:
            self._room.clear()
            await self._room.wait()

    def _check_deadline(self) -> None:
        """End the stream if it takes too long; else check again when it may."""
        now = time.monotonic()
        ends, idle_ends = self._began + self._limits.total, self._content_at + self._limits.idle
        if now >= ends:
            self._late = f"did not end its answer within {self._limits.total:g} seconds"
        elif now >= idle_ends:
            self._late = f"sent nothing of its answer for {self._limits.idle:g} seconds"
        else:
            wait = min(ends, idle_ends) - now
            self._deadline = asyncio.get_running_loop().call_later(wait, self._check_deadline)
            return
        self.outcome.cancel()

    def _task(self) -> asyncio.Task[Any]:
        task = asyncio.current_task()
        assert task is not None
        return task

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
        self._deadline.cancel()
        timing = self._clock.timing(self._first_token)
        completion = self._builder.completion()
        if self._opened.member:
            completion = replace(completion, member=self._opened.member)
        try:
            return await self._accounting.record_answer(
                self._call.analyzed,
                self._decision,
                completion,
                self._opened.attempts,
                timing,
                cut_off=cut_off,
                reservation=self._call.reservation,
            )
        except (Exception, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and not cancelled_from_within(error):
                raise  # the ledger writes what it has accepted
            call = replace(self._call, completion=completion)
            raise await self._unfinished.end(call, error) from None

    def _ended(self, outcome: asyncio.Task[Recorded]) -> None:
        self._keep_alive.cancel()
        self._deadline.cancel()
        if not outcome.cancelled():
            # Marks the exception as retrieved: if every reader has gone, no other code does.
            outcome.exception()
        for reader in self._readers:
            reader.end()


def _is_content(event: Event) -> bool:
    """Return whether ``event`` brings the answer on: an empty piece of text does not."""
    if isinstance(event, (Started, UsageReported, Relayed, KeepAlive)):
        return False
    return bool(getattr(event, "text", True) or getattr(event, "signature", ""))
