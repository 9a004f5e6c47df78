"""A streamed answer as one client is told it, and who hears which."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass

from optimizer.domain.result import CompletionResult
from optimizer.gateway.recording.accounting import Recorded
from optimizer.gateway.streaming.event_queue import EventQueue
from optimizer.gateway.streaming.shared_stream import SharedStream
from providers.assembly import completion_events
from providers.completion import Completion
from providers.errors import ClientGone, ProviderError
from providers.events import Event
from routing.models import RoutingDecision

Settle = Callable[[Recorded], Awaitable[CompletionResult]]
"""Records the reader's own request once the answer is; gives what the client is told."""


@dataclass(slots=True)
class ClientStream:
    """What the client is told while the answer comes in.

    ``events`` come as they are there, several at a time if need be, and end with
    each choice's :class:`providers.events.Finished`, only after the record is
    durable; ``result`` is known from then on. A stream that breaks raises
    :class:`providers.errors.ProviderError`, one that cannot be recorded
    :class:`analytics.ledger.ledger.LedgerUnavailable`. ``leave`` must be called in the
    end, however it ends.
    """

    decision: RoutingDecision
    events: AsyncGenerator[list[Event], None]
    result: CompletionResult | None = None
    leave: Callable[[], None] = lambda: None

    @classmethod
    def of_cached(cls, result: CompletionResult) -> ClientStream:
        """An answer that is there already, told as a stream."""
        return cls(result.decision, _told(result.completion), result)

    @classmethod
    def of_shared(
        cls,
        live: SharedStream,
        decision: RoutingDecision,
        settle: Settle,
        failed: Callable[[str], None],
    ) -> ClientStream:
        """``failed`` is told why the client did not hear it to the end; it or ``settle`` is
        called, and only once.
        """
        reader = live.join()
        stream = cls(decision, _nothing())
        ending = _Ending(settle, failed)

        def leave() -> None:
            live.leave(reader)
            ending.fail(ClientGone.code)

        stream.events = _heard(stream, live, reader, ending)
        stream.leave = leave
        return stream


class _Ending:
    """A request ends once: settled or failed. Who leaves while it is being settled has not
    failed, as what was handed to the ledger is written.
    """

    def __init__(self, settle: Settle, failed: Callable[[str], None]) -> None:
        self._settle = settle
        self._failed = failed
        self._open = True

    async def settle(self, booked: Recorded) -> CompletionResult:
        self._open = False
        return await self._settle(booked)

    def fail(self, code: str) -> None:
        if self._open:
            self._open = False
            self._failed(code)


async def _told(completion: Completion) -> AsyncGenerator[list[Event], None]:
    yield list(completion_events(completion))


async def _nothing() -> AsyncGenerator[list[Event], None]:
    return
    yield


async def _heard(
    stream: ClientStream,
    live: SharedStream,
    reader: EventQueue,
    ending: _Ending,
) -> AsyncGenerator[list[Event], None]:
    while events := await reader.take():
        live.taken()
        yield events
    try:
        booked = await asyncio.shield(live.outcome)
    except ProviderError as error:
        ending.fail(error.code)
        raise
    stream.result = await ending.settle(booked)
    yield live.endings
