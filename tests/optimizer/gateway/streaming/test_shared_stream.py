"""An answer that is coming in, without anyone who hears it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from optimizer.gateway.recording.timing import CallClock
from optimizer.gateway.recording.unfinished import UnfinishedCall, UnfinishedCalls
from optimizer.gateway.streaming import shared_stream
from optimizer.gateway.streaming.shared_stream import STREAM_LIMITS, SharedStream, StreamLimits
from providers.chat import Chat
from providers.completion import CompletionRequest
from providers.errors import MalformedResponse, ProviderTimeout
from providers.events import Event, Finished, Relayed, Started, TextDelta
from providers.resilience import OpenStream
from routing.models import RoutingDecision

DECISION = RoutingDecision("p", "m", "high", "named", "The request named it.")


class RecordingAccounting:
    """Remembers how answers ended."""

    def __init__(self) -> None:
        self.endings: list[tuple[str, str]] = []

    async def record_answer(self, *known: Any, cut_off: str, reservation: Any) -> Any:
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


async def begun(
    upstream: Upstream, limits: StreamLimits = STREAM_LIMITS
) -> tuple[SharedStream, RecordingAccounting]:
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
    live = SharedStream(
        books, ended, call, DECISION, opened, CallClock(0, 0), lambda _: None, limits
    )
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


class Trickle(Upstream):
    """Sends one word, then pieces without text."""

    async def events(self) -> AsyncGenerator[Event, None]:
        try:
            yield Started()
            yield TextDelta("word")
            while True:
                yield TextDelta("")
                await asyncio.sleep(0.001)
        finally:
            self.closed = True


async def read_on(live: SharedStream) -> None:
    reader = live.join()
    while await reader.take():
        live.taken()


@pytest.mark.parametrize(
    ("upstream", "limits", "words"),
    [
        (Upstream, StreamLimits(total=0.05), "within 0.05 seconds"),
        (Trickle, StreamLimits(idle=0.05), "for 0.05 seconds"),
    ],
)
async def test_a_stream_ends_in_time_and_what_came_is_recorded(
    upstream: type[Upstream], limits: StreamLimits, words: str
) -> None:
    source = upstream()
    live, books = await begun(source, limits)
    reading = asyncio.create_task(read_on(live))
    with pytest.raises(ProviderTimeout, match=words):
        await live.outcome
    await reading
    assert source.closed
    ((text, code),) = books.endings
    assert text.startswith("word")
    assert code == "timeout"


async def test_a_reader_that_falls_behind_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_stream, "_MOST_KEPT", 64 * 1024)
    live, _ = await begun(Upstream())
    slow = live.join()
    reading = asyncio.create_task(read_on(live))
    while not slow.dropped:
        await asyncio.sleep(0)
    assert len(slow) == 0
    assert not live.outcome.done()
    live.leave(slow)
    reading.cancel()
    live.outcome.cancel()
    await asyncio.gather(live.outcome, reading, return_exceptions=True)


class Passing(Upstream):
    """A stream that is passed on; with ``ended`` it goes on after the end of its answer."""

    def __init__(self, *, ended: bool) -> None:
        super().__init__()
        self.ended = ended

    async def events(self) -> AsyncGenerator[Event, None]:
        yield Started(relayed=True)
        yield TextDelta("word")
        if self.ended:
            yield Finished("stop")
        while True:
            yield Relayed("", "x" * 500, {})
            await asyncio.sleep(0)


async def test_who_comes_late_to_a_long_stream_gets_one_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shared_stream, "_MOST_KEPT", 64 * 1024)
    live, _ = await begun(Passing(ended=False))
    reading = asyncio.create_task(read_on(live))
    while live.alive:
        await asyncio.sleep(0)
    assert not live.outcome.done()
    assert live.join().dropped
    reading.cancel()
    live.outcome.cancel()
    await asyncio.gather(live.outcome, reading, return_exceptions=True)


async def test_a_stream_that_goes_on_after_its_end_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_stream, "_MOST_KEPT", 64 * 1024)
    live, books = await begun(Passing(ended=True))
    live.join()
    with pytest.raises(MalformedResponse):
        await live.outcome
    assert books.endings == [("word", "malformed_response")]
