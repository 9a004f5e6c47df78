"""An answer that is coming in, without anyone who hears it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from optimizer.gateway.recording.ledger_entries import CallClock
from optimizer.gateway.recording.unfinished import UnfinishedCall, UnfinishedCalls
from optimizer.gateway.streaming.shared_stream import SharedStream
from providers.chat import Chat
from providers.completion import CompletionRequest
from providers.events import Event, Finished, Started, TextDelta
from providers.resilience import OpenStream
from routing.models import RoutingDecision

DECISION = RoutingDecision("p", "m", "high", "named", "The request named it.")


class RecordingAccounting:
    """Remembers how answers ended."""

    def __init__(self) -> None:
        self.endings: list[tuple[str, str]] = []

    async def record_answer(self, *known: Any, cut_off: str) -> Any:
        self.endings.append((known[2].text, cut_off))
        return "booked"


class Upstream:
    def __init__(self) -> None:
        self.closed = False

    async def events(self) -> AsyncGenerator[Event, None]:
        try:
            yield Started()
            while True:
                yield TextDelta("word ")
                await asyncio.sleep(0)
        finally:
            self.closed = True


async def begun(upstream: Upstream) -> tuple[SharedStream, RecordingAccounting]:
    events = upstream.events()
    first = await anext(events)

    async def followed() -> AsyncGenerator[Event, None]:
        try:
            yield first
            async for event in events:
                yield event
        finally:
            await events.aclose()

    opened = OpenStream("p", CompletionRequest("m", Chat.of_prompt("Hi")), followed())
    books: Any = RecordingAccounting()
    facts: Any = None
    call = UnfinishedCall(facts, 0.0)
    ended = UnfinishedCalls(books)
    live = SharedStream(books, ended, call, DECISION, opened, CallClock(0, 0), lambda _: None)
    return live, books


async def test_who_never_came_to_listen_is_recorded_and_the_provider_let_go() -> None:
    upstream = Upstream()
    live, books = await begun(upstream)
    live.leave()
    with pytest.raises(asyncio.CancelledError):
        await live.outcome
    assert books.endings == [("", "client_disconnected")]
    assert not live.alive


async def test_who_leaves_again_and_again_leaves_once() -> None:
    upstream = Upstream()
    live, books = await begun(upstream)
    reader = live.join()
    assert await reader.take()
    while len(reader) < 5:
        await asyncio.sleep(0)
    for _ in range(3):
        live.leave(reader)
    with pytest.raises(asyncio.CancelledError):
        await live.outcome
    assert upstream.closed
    ((text, code),) = books.endings
    assert text.startswith("word word")
    assert code == "client_disconnected"


async def test_a_bug_on_the_way_is_recorded_too() -> None:
    class Broken(Upstream):
        async def events(self) -> AsyncGenerator[Event, None]:
            yield TextDelta("some")
            raise KeyError("a bug")

    live, books = await begun(Broken())
    reader = live.join()
    heard = [event for event in await reader.take() if not isinstance(event, Finished)]
    with pytest.raises(KeyError):
        await live.outcome
    assert books.endings == [("some", "internal_error")]
    assert [event.text for event in heard if isinstance(event, TextDelta)] == ["some"]
