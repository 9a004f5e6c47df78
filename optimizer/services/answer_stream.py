"""A streamed answer on its way to the client, and its record before the last word."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from optimizer.services.bookkeeping import Bookkeeper, milliseconds_since
from optimizer.services.narration import as_served
from optimizer.services.recording import RequestFacts, Timing
from optimizer.services.results import CompletionResult
from providers.base import Completion
from providers.collecting import Collector
from providers.errors import ClientGone, ProviderError
from providers.events import Event, Finished
from providers.resilience import OpenStream
from providers.retelling import events_of
from routing.models import RoutingDecision


@dataclass(slots=True)
class AnswerStream:
    """What the client is told while the answer comes in.

    ``events`` end with each choice's :class:`providers.events.Finished`, which
    come only after the record is durable; ``result`` is known from then on. A
    stream that breaks raises :class:`providers.errors.ProviderError`, one that
    cannot be recorded :class:`analytics.ledger.LedgerUnavailable`; closing
    ``events`` early stops the provider and records what was produced.
    """

    decision: RoutingDecision
    events: AsyncGenerator[Event, None]
    result: CompletionResult | None = None

    @classmethod
    def of_cached(cls, result: CompletionResult) -> AnswerStream:
        """An answer that is there already, told as a stream."""
        return cls(result.decision, _told(result.completion), result)


async def _told(completion: Completion) -> AsyncGenerator[Event, None]:
    for event in events_of(completion):
        yield event


class Relays:
    """Relays streams and keeps the books of those that end, however they end."""

    def __init__(self, books: Bookkeeper) -> None:
        self._books = books
        self._tasks: set[asyncio.Task[Any]] = set()

    def relay(
        self,
        facts: RequestFacts,
        decision: RoutingDecision,
        opened: OpenStream,
        *,
        started: float,
        called: float,
        done: Callable[[RequestFacts, CompletionResult], None],
    ) -> AnswerStream:
        """``started`` and ``called`` are readings of ``time.perf_counter``; ``done`` is told
        the result of a stream that came to its end."""
        collector = Collector(opened.provider, opened.request)
        first_token = milliseconds_since(started)

        def record(cut_off: str) -> asyncio.Task[CompletionResult]:
            timing = Timing(milliseconds_since(started), milliseconds_since(called), first_token)
            return self.in_background(
                self._settle(facts, decision, collector.completion(), opened, timing, cut_off)
            )

        served = as_served(decision, collector.completion(), opened.attempts)
        answer = AnswerStream(served, _nothing())
        answer.events = _relayed(answer, opened, collector, record, lambda r: done(facts, r))
        return answer

    async def _settle(
        self,
        facts: RequestFacts,
        decision: RoutingDecision,
        completion: Completion,
        opened: OpenStream,
        timing: Timing,
        cut_off: str,
    ) -> CompletionResult:
        booked = await self._books.answered(
            facts, decision, completion, opened.attempts, timing, cut_off=cut_off
        )
        return booked.result

    def in_background(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run ``work`` to its end, whoever still waits for it."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            # Mark as seen: when the client has gone, nobody else will retrieve it.
            task.exception()

    async def drain(self) -> None:
        """Wait until everything is recorded."""
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _nothing() -> AsyncGenerator[Event, None]:
    return
    yield


async def _relayed(
    answer: AnswerStream,
    opened: OpenStream,
    collector: Collector,
    record: Callable[[str], asyncio.Task[CompletionResult]],
    done: Callable[[CompletionResult], None],
) -> AsyncGenerator[Event, None]:
    endings: list[Event] = []
    recorded = False
    cut_off = "internal_error"
    try:
        async with aclosing(opened.events) as events:
            async for event in events:
                collector.add(event)
                if isinstance(event, Finished):
                    endings.append(event)
                else:
                    yield event
        recorded = True
        answer.result = await asyncio.shield(record(""))
        done(answer.result)
    except ProviderError as error:
        cut_off = error.code
        raise
    except (asyncio.CancelledError, GeneratorExit):
        cut_off = ClientGone.code
        raise
    finally:
        if not recorded:
            settled = record(cut_off)
            if cut_off != ClientGone.code:
                answer.result = await asyncio.shield(settled)
    for event in endings:
        yield event
