"""All work on a large chat is done beside the event loop, with the same result as on it."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import httpx
import pytest

from optimizer.api.http import json_out
from optimizer.budgets import reservations
from optimizer.domain.options import RequestOptions, chat_key, semantic_key
from optimizer.domain.request import GatewayRequest
from optimizer.gateway import prompt_cache
from optimizer.gateway.chat_requests import ChatRequestBuilder
from optimizer.server import fast_path
from providers import chat as chats
from providers import features, input_summaries
from providers.chat import Chat, Message, OriginalRequest, Text, Tool
from providers.embedding import is_large_input
from providers.http import wire
from tests.conftest import Start
from tests.fakes.server import FakeProvider, Reply
from tests.fakes.wires import KEY, embeddings_wire

# Whatever looks at each message of a chat, or at the whole body.
WORK = (
    (fast_path, "read_json"),
    (ChatRequestBuilder, "build"),
    (GatewayRequest, "analyze"),
    (features, "_add_message_needs"),
    (prompt_cache, "_prefixes"),
    (input_summaries, "_digest"),
    (wire, "as_json"),
    (chats, "_part_tokens"),
    (reservations, "cost_bound"),
    (reservations, "most_input_tokens"),
)
ALWAYS = {"read_json", "build", "analyze", "_add_message_needs", "as_json"}


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> dict[str, set[int]]:
    """The threads on which each function of :data:`WORK` ran."""
    found: dict[str, set[int]] = {}

    def watched(name: str, do: Any) -> Any:
        def watching(*args: Any, **more: Any) -> Any:
            found.setdefault(name, set()).add(threading.get_ident())
            return do(*args, **more)

        return watching

    for owner, name in WORK:
        monkeypatch.setattr(owner, name, watched(name, getattr(owner, name)))
    return found


ROLES = ("user", "assistant")
MESSAGES = [{"role": ROLES[i % 2], "content": "a"} for i in range(20_001)]
PARTS = [{"role": "user", "content": [{"type": "text", "text": "a"}] * 20_001}]
BODIES = {
    "/v1/chat/completions": {"messages": MESSAGES},
    "/v1/messages": {"messages": MESSAGES, "max_tokens": 100},
    "/v1/responses": {"input": MESSAGES},
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", BODIES)
async def test_work_on_a_large_chat_leaves_the_thread_of_the_event_loop(
    client: httpx.AsyncClient,
    fakes: dict[str, FakeProvider],
    threads: dict[str, set[int]],
    path: str,
    stream: bool,
) -> None:
    body = {"model": "auto", "stream": stream, **BODIES[path]}
    answer = await client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    on_loop = {name for name, found in threads.items() if threading.get_ident() in found}
    assert on_loop == set()
    assert threads.keys() >= ALWAYS


async def test_many_parts_of_one_message_are_a_large_chat(
    client: httpx.AsyncClient, fakes: dict[str, FakeProvider], threads: dict[str, set[int]]
) -> None:
    body = {"model": "auto", "messages": PARTS}
    answer = await client.post("/v1/chat/completions", json=body)
    assert answer.status_code == 200
    assert all(threading.get_ident() not in found for found in threads.values())


async def test_ordinary_chats_stay_on_the_event_loop(
    client: httpx.AsyncClient, fakes: dict[str, FakeProvider], threads: dict[str, set[int]]
) -> None:
    body = {"model": "auto", "messages": MESSAGES[:3]}
    answer = await client.post("/v1/chat/completions", json=body)
    assert answer.status_code == 200
    assert threads.keys() >= ALWAYS
    assert all(found == {threading.get_ident()} for found in threads.values())


async def test_a_large_answer_is_read_beside_the_event_loop(
    client: httpx.AsyncClient,
    fakes: dict[str, FakeProvider],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    readers: list[int] = []
    read = wire.WireClient._object

    def watching(self: Any, raw: bytes) -> Any:
        readers.append(threading.get_ident())
        return read(self, raw)

    monkeypatch.setattr(wire.WireClient, "_object", watching)
    message = {"role": "assistant", "content": "a" * 300_000}
    body = {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    fakes["openrouter"].always(Reply(body))
    asked = {"model": "openrouter/z-ai/glm-5.3-flash", "messages": MESSAGES[:1]}
    answer = await client.post("/v1/chat/completions", json=asked)
    assert len(answer.json()["choices"][0]["message"]["content"]) == 300_000
    assert readers
    assert threading.get_ident() not in readers


@pytest.mark.parametrize("vector", [[0.125] * 1_500, "AAAA" * 1_500], ids=["floats", "base64"])
async def test_many_vectors_are_written_beside_the_event_loop(
    transactional_db: None, start: Start, monkeypatch: pytest.MonkeyPatch, vector: Any
) -> None:
    writers: list[int] = []

    def watching(value: Any) -> bytes:
        writers.append(threading.get_ident())
        return json_out.as_json(value)

    monkeypatch.setattr(fast_path, "as_json", watching)
    data = [{"object": "embedding", "index": n, "embedding": vector} for n in range(100)]
    usage = {"prompt_tokens": 5, "total_tokens": 5}
    asked = {"model": "text-embedding-3-small", "input": ["a"] * 100}
    async with FakeProvider(embeddings_wire) as openai:
        openai.always(Reply({"object": "list", "data": data, "usage": usage}))
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        monkeypatch.setenv("OPENAI_BASE_URL", openai.url)
        client = await start()
        answer = await client.post("/v1/embeddings", json=asked)
    assert answer.status_code == 200, answer.text
    assert answer.json()["data"] == data
    assert writers
    assert threading.get_ident() not in writers


@pytest.mark.parametrize(
    ("inputs", "large"),
    [
        ("a" * 300_000, True), (["a"] * 20_000, True), ([7] * 20_000, True),
        ([[7] * 200] * 100, True), (["a few words"] * 100, False), ([7] * 500, False),
    ],
)  # fmt: skip
def test_inputs_of_many_values_are_large(inputs: Any, large: bool) -> None:
    assert is_large_input({"input": inputs}) is large


def _chat(messages: list[dict[str, Any]], **fields: Any) -> Chat:
    body = {"model": "auto", "messages": messages, **fields}
    turns = tuple(Message("user", (Text("a"),)) for _ in messages)
    return Chat(turns, source=OriginalRequest("openai", body))


@pytest.mark.parametrize("messages", [MESSAGES[:3], MESSAGES, PARTS])
def test_keys_do_not_depend_on_how_they_are_computed(messages: list[dict[str, Any]]) -> None:
    chat = _chat(messages, tools=[{"b": 1, "a": "é\ud800", "c": 2**70}], temperature=0.5)
    assert chat_key(chat.as_large(), RequestOptions()) == chat_key(chat, RequestOptions())
    assert semantic_key(chat.as_large(), RequestOptions()) == semantic_key(chat, RequestOptions())


def test_what_is_known_of_a_large_chat_is_forgotten_with_its_messages() -> None:
    large = _chat(MESSAGES[:3]).as_large()
    assert large.estimated_tokens() == _chat(MESSAGES[:3]).estimated_tokens()
    assert features.needs(large) == features.needs(_chat(MESSAGES[:3]))
    other = replace(
        large, messages=(Message("assistant", (Text("a" * 4000),)),), tools=(Tool("f"),)
    )
    plain = replace(other, surveyed=None)
    assert other.large
    assert other.estimated_tokens() == plain.estimated_tokens()
    assert features.needs(other) == features.needs(plain)
