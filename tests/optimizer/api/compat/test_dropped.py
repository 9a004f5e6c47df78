"""What a model leaves out of a request: named in every answer, and refused if that is wished."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from analytics.models import CachedResponse
from tests.fakes.server import FakeProvider

SMALL = "claude-haiku-5-5"
HELLO = [{"role": "user", "content": "Say hello"}]
CHAT: dict[str, Any] = {"model": SMALL, "messages": HELLO, "seed": 7}
CHATS = "/v1/chat/completions"
STRICT = {"x-optimizer-strict": "true"}


async def test_a_whole_answer_and_the_cached_one_name_it(client: httpx.AsyncClient) -> None:
    for status in ("miss", "hit"):
        answer = await client.post(CHATS, json=CHAT)
        assert answer.headers["x-optimizer-cache"] == status
        assert answer.headers["x-optimizer-dropped"] == "seed"


async def test_a_stream_names_it_before_and_after(client: httpx.AsyncClient) -> None:
    for status in ("miss", "hit"):
        answer = await client.post(CHATS, json={**CHAT, "stream": True})
        assert answer.headers["x-optimizer-cache"] == status
        assert answer.headers["x-optimizer-dropped"] == "seed"
        assert last_summary(answer.text)["dropped"] == ["seed"]


def last_summary(stream: str) -> dict[str, Any]:
    """The summary in the last message of a stream that has one."""
    messages = [line[6:] for line in stream.splitlines() if line.startswith("data: {")]
    summaries = [json.loads(message).get("optimizer") for message in messages]
    return next(filter(None, reversed(summaries)))


async def test_nothing_is_named_where_all_arrives(client: httpx.AsyncClient) -> None:
    # A request to a named model goes out as it is, whatever the model may lack.
    ask = {
        "model": SMALL,
        "max_tokens": 50,
        "messages": HELLO,
        "metadata": {"user_id": "u1"},
        "temperature": 0.5,
    }
    answer = await client.post("/v1/messages", json=ask)
    assert "x-optimizer-dropped" not in answer.headers


@pytest.mark.parametrize(
    ("headers", "options"), [(STRICT, {}), ({}, {"optimizer": {"strict": True}})]
)
async def test_a_strict_request_is_refused_rather(
    client: httpx.AsyncClient,
    fakes: dict[str, FakeProvider],
    headers: dict[str, str],
    options: dict[str, Any],
) -> None:
    refused = await client.post(CHATS, json={**CHAT, **options}, headers=headers)
    assert refused.status_code == 400
    assert refused.json()["error"]["param"] == "seed"
    assert not any(fake.asked for fake in fakes.values())


async def test_a_strict_request_gets_no_cached_answer_that_left_something_out(
    client: httpx.AsyncClient,
) -> None:
    auto = {**CHAT, "model": "auto"}
    assert (await client.post(CHATS, json=auto)).status_code == 200
    first = await CachedResponse.objects.aget()
    strict = await client.post(CHATS, json=auto, headers=STRICT)
    assert strict.status_code == 200
    assert strict.headers["x-optimizer-cache"] == "miss"
    assert "x-optimizer-dropped" not in strict.headers
    assert await CachedResponse.objects.exclude(pk=first.pk).acount() == 1


async def test_a_refusal_names_the_field_as_the_client_does(client: httpx.AsyncClient) -> None:
    tool = {"name": "look", "description": "Look.", "input_schema": {"type": "object"}}
    ask = {
        "model": "gemini-3.8-flash",
        "max_tokens": 50,
        "messages": HELLO,
        "tools": [tool],
        "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
    }
    served = await client.post("/v1/messages", json=ask)
    assert served.headers["x-optimizer-dropped"] == "tool_choice.disable_parallel_tool_use"
    refused = await client.post("/v1/messages", json=ask, headers=STRICT)
    assert refused.status_code == 400
    assert "disable_parallel_tool_use" in refused.text


@pytest.mark.parametrize("kind", ["a\u0000b", "a\r\nx-evil: 1", "\ud83d", "🗼", "é", "x" * 100_000])
@pytest.mark.parametrize("streamed", [False, True])
async def test_a_name_that_no_header_can_hold_is_made_to_fit(
    client: httpx.AsyncClient, kind: str, streamed: bool
) -> None:
    function = {"type": "function", "name": "find", "parameters": {}}
    ask = {
        "model": SMALL, "input": "Say hello", "stream": streamed,
        "tools": [function, {"type": kind}], "tool_choice": {"type": "function", "name": "find"},
    }  # fmt: skip
    answer = await client.post(
        "/v1/responses", content=json.dumps(ask), headers={"content-type": "application/json"}
    )
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-optimizer-dropped"].startswith("tools")
    assert len(answer.headers["x-optimizer-dropped"]) <= 2_000
    assert "x-evil" not in answer.headers
