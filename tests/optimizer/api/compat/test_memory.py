"""A long stream costs the memory of its text and nothing more."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

import pytest

from analytics.models import RequestRecord
from optimizer.api.anthropic.reasoning import Author
from optimizer.api.anthropic.stream import MessageStreamEncoder
from optimizer.api.compat.stream_encoder import StreamEncoder
from optimizer.api.openai.chat_stream import ChatStreamEncoder
from optimizer.api.openai.responses.answer import ResponseFrame
from optimizer.api.openai.responses.stream import ResponseStreamEncoder
from optimizer.domain.request import GatewayRequest
from optimizer.wiring.build import get_services
from providers import features
from providers.chat import Chat
from providers.completion import CompletionRequest, Usage
from providers.events import Event, Finished, KeepAlive, Started, TextDelta, UsageReported

TOKENS = 10_000


class LongWinded:
    """A provider that never runs out of words."""

    name = "claude"
    wire = "anthropic"
    features = features.ANTHROPIC

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[Event, None]:
        yield Started("m")
        for number in range(TOKENS):
            yield TextDelta(f" {number:04d}")
        yield UsageReported(Usage(10, TOKENS))
        yield Finished("stop")

    async def aclose(self) -> None:
        pass


TELLERS: dict[str, Callable[[], StreamEncoder]] = {
    "chat": lambda: ChatStreamEncoder(1, "m", with_usage=True),
    "messages": lambda: MessageStreamEncoder(1, "m", lambda: Author("p", "m"), input_tokens=1),
    "responses": lambda: ResponseStreamEncoder(ResponseFrame(1, {}), "m"),
}


@pytest.mark.parametrize("wire", TELLERS)
async def test_ten_thousand_tokens_are_held_as_text_alone(client: Any, wire: str) -> None:
    services = get_services()
    # What another thread reads meanwhile is not the stream's.
    services._fast_refresher.close()
    services.caller.providers.replace({"claude": LongWinded()})  # type: ignore[attr-defined]
    ask = GatewayRequest(
        Chat.of_prompt("Count."), "Count.", "key", only=frozenset({("claude", "claude-haiku-4-5")})
    )
    stream = await services.routing.stream(ask)
    encoder, told, sizes = TELLERS[wire](), 0, []
    tracemalloc.start()
    try:
        async with aclosing(stream.events) as events:
            async for batch in events:
                events_of_answer = [e for e in batch if not isinstance(e, KeepAlive)]
                told += sum(len(m) for event in events_of_answer for m in encoder.encode(event))
                texts = {event.text for event in batch if isinstance(event, TextDelta)}
                if texts & {" 1000", " 9999"}:
                    gc.collect()
                    sizes.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
        stream.leave()
    # Nine thousand tokens of five characters, twice where the teller keeps the text too, and
    # the few hundred that may wait for their reader.
    copies = 2 if wire == "responses" else 1
    assert sizes[1] - sizes[0] < copies * (9000 * 5 + 20_000) + 60_000
    assert told > 100 * TOKENS
    assert (await RequestRecord.objects.aget()).tokens_out == TOKENS
