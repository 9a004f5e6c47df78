"""A stream that never ends fills no memory, whatever it is made of."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from itertools import repeat

import pytest

from providers import opened_stream, stream_bounds
from providers.assembly import CompletionBuilder
from providers.chat import Chat
from providers.circuits import Circuits
from providers.completion import CompletionRequest
from providers.errors import MalformedResponse
from providers.events import (
    Event,
    OpaqueBlock,
    Relayed,
    Started,
    TextDelta,
    ThinkingDelta,
    ToolArguments,
    ToolCallStarted,
)
from providers.opened_stream import open_stream
from providers.request_circuits import RequestCircuits

REQUEST = CompletionRequest("m", Chat.of_prompt("Hi"))


class Endless:
    name = "p"

    def __init__(self, *events: Event) -> None:
        self._first, self._last = events[:-1], events[-1]
        self.sent = 0

    async def stream(self, _: CompletionRequest) -> AsyncGenerator[Event, None]:
        for event in self._first:
            yield event
        for event in repeat(self._last):
            self.sent += 1
            yield event


async def drain(provider: Endless) -> None:
    circuits = RequestCircuits(Circuits(5, 1.0, 1.0), lambda: 1, "")
    opened = await open_stream(provider, REQUEST, circuits, lambda usage: None)  # type: ignore[arg-type]
    builder = CompletionBuilder("p", REQUEST)
    async for event in opened.events:
        builder.add(event)


@pytest.mark.parametrize(
    "events",
    [
        [TextDelta("word ")],
        [TextDelta("x", logprobs=[{"token": "x"}])],
        [ThinkingDelta("hm ")],
        [TextDelta("x"), ThinkingDelta(signature="sealed")],
        [TextDelta("x"), ThinkingDelta(details=[{"a": 1}])],
        [TextDelta("x"), OpaqueBlock("w", {"citation": {"a": 1}}, attached=True)],
        [TextDelta("x"), OpaqueBlock("w", {"type": "own"})],
        [ToolCallStarted(0, "id", "name")],
        [ToolCallStarted(0, "id", "name"), ToolArguments(0, '{"a": ')],
    ],
)
async def test_an_answer_has_an_end(monkeypatch: pytest.MonkeyPatch, events: list[Event]) -> None:
    monkeypatch.setattr(stream_bounds, "MOST_OF_AN_ANSWER", 256 * 1024)
    provider = Endless(*events)
    with pytest.raises(MalformedResponse, match="more than"):
        await drain(provider)
    assert provider.sent < 300_000


async def test_messages_without_content_have_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opened_stream, "MOST_BEFORE_CONTENT", 256 * 1024)
    provider = Endless(Started(relayed=True), Relayed("", "{}", {}))
    with pytest.raises(MalformedResponse, match="without content"):
        await drain(provider)
    assert provider.sent < 300


def test_many_pieces_of_a_signature_and_of_details_are_joined() -> None:
    builder = CompletionBuilder("p", REQUEST)
    for number in range(1_000):
        builder.add(ThinkingDelta("t", signature="s", redacted="r", details=[number]))
    (part,) = builder.completion().choices[0].parts
    assert part.signature == "s" * 1_000  # type: ignore[union-attr]
    assert part.redacted == "r" * 1_000  # type: ignore[union-attr]
    assert part.details == list(range(1_000))  # type: ignore[union-attr]
