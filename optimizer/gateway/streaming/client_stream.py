"""The stream of an answer to one client, from the cache or from a shared stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial

from optimizer.domain.result import CompletionResult
from optimizer.gateway.recording.accounting import Recorded
from optimizer.gateway.recording.unfinished import INTERNAL_ERROR
from optimizer.gateway.streaming.event_queue import EventQueue
from optimizer.gateway.streaming.shared_stream import KEEP_ALIVE_SECONDS, SharedStream
from providers.assembly import completion_events
from providers.completion import Completion
from providers.errors import ClientGone, ProviderError
from providers.events import Event, KeepAlive, Relayed
from routing.models import RoutingDecision

Settle = Callable[[Recorded], Awaitable[CompletionResult]]
"""Records the reader's own request after the shared answer is recorded; returns its result."""


@dataclass(slots=True)
class ClientStream:
    """The stream of an answer to one client.

    ``events`` yields events as they arrive, all that have arrived at a time. It ends with each
    choice's :class:`providers.events.Finished`, which comes only after the record is durable;
    ``result`` is set from then on. A stream that breaks raises
    :class:`providers.errors.ProviderError`, one that cannot be recorded
    :class:`analytics.ledger.ledger.LedgerUnavailable`. The caller must call ``leave`` at the
    end, whether the stream succeeds or not.

    ``decision`` is ``None`` until the model is selected; it is known from the first event on.
    ``headers`` are those of the provider's own answer, if the client uses its wire.
    """

    decision: RoutingDecision | None
    result: CompletionResult | None = None
    events: AsyncGenerator[list[Event], None] = field(init=False)
    leave: Callable[[], None] = lambda: None
    headers: Mapping[str, str] = field(default_factory=dict)

    def model(self, asked_for: str) -> str:
        """Return the model that answers; the name that was asked for if it is not known yet."""
        return asked_for if self.decision is None else self.decision.model

    @classmethod
    def of_cached(cls, result: CompletionResult) -> ClientStream:
        """Return the stream of a complete answer from the cache."""
        stream = cls(result.decision, result)
        stream.events = _cached_events(result.completion)
        return stream

    @classmethod
    def of_opening(
        cls, opening: asyncio.Task[ClientStream], decision: RoutingDecision | None
    ) -> ClientStream:
        """Return a stream that keeps its client waiting until ``opening`` is done."""
        stream = cls(decision)
        stream.events = stream._events_of(opening)
        stream.leave = partial(leave_opening, opening)
        return stream

    async def _events_of(
        self, opening: asyncio.Task[ClientStream]
    ) -> AsyncGenerator[list[Event], None]:
        while not opening.done():
            yield [KeepAlive()]
            await asyncio.wait({opening}, timeout=KEEP_ALIVE_SECONDS)
        opened = opening.result()
        self.decision = opened.decision
        async with aclosing(opened.events) as batches:
            async for events in batches:
                # The last events come once the result is known.
                self.result = opened.result
                yield events
        self.result = opened.result

    @classmethod
    def of_shared(
        cls,
        live: SharedStream,
        decision: RoutingDecision,
        settle: Settle,
        failed: Callable[[str], None],
    ) -> ClientStream:
        """Return a stream that reads from ``live``.

        Exactly one of ``settle`` and ``failed`` is called, and only once: ``settle`` at the end
        of the answer, ``failed`` with an error code if the client did not get all of it.
        """
        reader = live.join()
        stream = cls(decision, headers=live.headers)
        ending = _Ending(settle, failed)

        def leave() -> None:
            live.leave(reader)
            ending.fail(ClientGone.code)

        stream.events = stream._shared_events(live, reader, ending)
        stream.leave = leave
        return stream

    async def _shared_events(
        self, live: SharedStream, reader: EventQueue, ending: _Ending
    ) -> AsyncGenerator[list[Event], None]:
        while events := await reader.take():
            live.taken()
            yield events
        if reader.dropped:
            ending.fail(ClientGone.code)
            raise ClientGone(live.provider, "gave a stream that the client read too slowly")
        try:
            recorded = await asyncio.shield(live.outcome)
        except Exception as error:
            ending.fail(error.code if isinstance(error, ProviderError) else INTERNAL_ERROR)
            # What came before the failure is recorded by now, and paid for.
            relayed: list[Event] = [e for e in live.endings if isinstance(e, Relayed)]
            if relayed:
                yield relayed
            raise
        self.result = await ending.settle(recorded)
        yield live.endings


def leave_opening(opening: asyncio.Task[ClientStream]) -> None:
    """Leave a stream that may have been opened in the meantime."""
    if not opening.done():
        opening.cancel()
    elif not opening.cancelled() and not opening.exception():
        opening.result().leave()


class _Ending:
    """Ends a request exactly once: settled or failed.

    A client that leaves while its request is being settled has not failed: the ledger writes
    an entry that it has accepted.
    """

    def __init__(self, settle: Settle, failed: Callable[[str], None]) -> None:
        self._settle = settle
        self._failed = failed
        self._open = True

    async def settle(self, recorded: Recorded) -> CompletionResult:
        self._open = False
        return await self._settle(recorded)

    def fail(self, code: str) -> None:
        if self._open:
            self._open = False
            self._failed(code)


async def _cached_events(completion: Completion) -> AsyncGenerator[list[Event], None]:
    yield list(completion_events(completion))
