"""The older API of completions: passed on to servers that have it, a chat for all others."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from providers import features
from providers.chat import Chat, OriginalRequest
from providers.completion import CompletionRequest
from providers.events import Relayed, TextDelta
from providers.http.transport import HttpClient
from providers.openai.client import OpenAIOwnProvider, OpenAIProvider
from tests.fakes.server import FakeProvider, Reply
from tests.fakes.streams import sse
from tests.fakes.wires import KEY, openai_wire

BODY = {"model": "auto", "prompt": "Once", "echo": True, "logprobs": 2}
ANSWER = {
    "id": "cmpl-1", "object": "text_completion", "model": "m",
    "choices": [{"text": " upon", "index": 0, "logprobs": {"tokens": []}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
}  # fmt: skip


def request(model: str = "m", **change: Any) -> CompletionRequest:
    source = OriginalRequest("openai-completions", BODY)
    chat = replace(Chat.of_prompt("Once"), source=source, chosen=False, **change)
    return CompletionRequest(model, chat)


async def test_a_server_that_has_it_gets_the_request_as_it_came(http: HttpClient) -> None:
    async with FakeProvider(openai_wire()) as fake:
        client = OpenAIProvider("p", http, fake.url, KEY)
        fake.next(Reply(ANSWER))
        completion = await client.complete(request())
        assert (fake.asked[0].path, fake.asked[0].body) == ("/completions", {**BODY, "model": "m"})
        assert completion.text == " upon"
        assert completion.usage.output_tokens == 2
        assert completion.relayed is not None
        assert completion.relayed.body == ANSWER
        assert completion.relayed.raw
        fake.next(Reply(chunks=[sse(ANSWER), b"data: [DONE]\n\n"]))
        events = [event async for event in client.stream(request())]
        assert [e.text for e in events if isinstance(e, TextDelta)] == [" upon"]
        assert [e.data for e in events if isinstance(e, Relayed)] == [ANSWER, None]


@pytest.mark.parametrize(
    ("kind", "asked", "path"),
    [
        (OpenAIOwnProvider, request("gpt-6-luna"), "/chat/completions"),
        (OpenAIOwnProvider, request("gpt-3.5-turbo-instruct"), "/completions"),
        (OpenAIProvider, replace(request(), lacks=frozenset({features.TEXT_COMPLETIONS})),
         "/chat/completions"),
    ],
)  # fmt: skip
async def test_others_get_a_chat(
    http: HttpClient, kind: type[OpenAIProvider], asked: CompletionRequest, path: str
) -> None:
    async with FakeProvider(lambda _: Reply(ANSWER)) as fake:
        await kind("p", http, fake.url, KEY).complete(asked)
        assert fake.asked[0].path == path
        assert ("messages" in fake.asked[0].body) == (path == "/chat/completions")
