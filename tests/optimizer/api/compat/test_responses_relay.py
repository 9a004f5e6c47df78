"""Responses reach OpenAI as they came, and its answers come back as it gave them.

Wire: https://platform.openai.com/docs/api-reference/responses/create
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import httpx
import pytest

from analytics.models import RequestRecord
from tests.conftest import KEY, Start
from tests.fakes.server import FakeProvider, Reply

MODEL = "gpt-6-luna"
USAGE = {
    "input_tokens": 1000, "input_tokens_details": {"cached_tokens": 200}, "output_tokens": 300,
    "output_tokens_details": {"reasoning_tokens": 100}, "total_tokens": 1300,
}  # fmt: skip
REASONING = {"id": "rs_up", "type": "reasoning", "summary": [], "encrypted_content": "gAAAA"}
CALL = {
    "id": "ctc_up", "type": "custom_tool_call", "call_id": "call_1", "name": "exec", "input": "ls",
    "status": "completed", "unknown": {"kept": True},
}  # fmt: skip
ANSWER: dict[str, Any] = {
    "id": "resp_up", "object": "response", "status": "completed", "model": "gpt-6-luna-2026",
    "output": [REASONING, CALL], "usage": USAGE, "store": True, "something_new": 1,
}  # fmt: skip


@pytest.fixture
async def openai_fake(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeProvider]:
    async with FakeProvider(lambda asked: Reply(ANSWER, headers={"x-request-id": "up"})) as fake:
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        monkeypatch.setenv("OPENAI_BASE_URL", fake.url)
        yield fake


def sse(*events: dict[str, Any]) -> list[bytes]:
    return [f"event: {e['type']}\ndata: {json.dumps(e)}\n\n".encode() for e in events]


STREAM: list[dict[str, Any]] = [
    {"type": "response.created", "response": {**ANSWER, "status": "in_progress", "output": []}},
    {"type": "response.something.new", "sequence_number": 1},
    {"type": "response.output_item.added", "output_index": 0, "item": {**REASONING}},
    {"type": "response.output_item.done", "output_index": 0, "item": REASONING},
    {"type": "response.output_item.added", "output_index": 1, "item": {**CALL, "input": ""}},
    {"type": "response.custom_tool_call_input.delta", "output_index": 1, "delta": "ls"},
    {"type": "response.output_item.done", "output_index": 1, "item": CALL},
    {"type": "response.completed", "response": ANSWER},
]


async def body_of(client: httpx.AsyncClient, **fields: Any) -> tuple[httpx.Response, Any]:
    answer = await client.post("/v1/responses", json={"model": MODEL, "input": "Hi", **fields})
    return answer, answer.json() if "json" in answer.headers["content-type"] else answer.text


@pytest.mark.django_db(transaction=True)
async def test_every_field_goes_out_and_comes_back(openai_fake: FakeProvider, start: Start) -> None:
    client = await start()
    fields = {
        "previous_response_id": "resp_1", "include": ["reasoning.encrypted_content"],
        "client_metadata": {"turn": 1}, "tools": [{"type": "web_search"}], "store": True,
        "reasoning": {"effort": "low", "context": "all_turns"}, "unknown_field": [1],
    }  # fmt: skip
    answer, body = await body_of(client, **fields)
    assert (answer.status_code, body) == (200, ANSWER)
    assert openai_fake.asked[0].path == "/responses"
    assert openai_fake.asked[0].body == {"model": MODEL, "input": "Hi", **fields}
    assert answer.headers["x-optimizer-upstream-request-id"] == "up"
    row = await RequestRecord.objects.aget()
    assert (row.tokens_in, row.tokens_out, row.cache_read_tokens) == (1000, 300, 200)
    assert row.cost > Decimal(0)


@pytest.mark.django_db(transaction=True)
async def test_every_event_comes_back(openai_fake: FakeProvider, start: Start) -> None:
    openai_fake.next(Reply(chunks=sse(*STREAM)))
    client = await start()
    _, text = await body_of(client, stream=True)
    events = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: ")]
    summary = events[-1]["response"].pop("optimizer")
    assert events == STREAM
    assert summary["model"] == MODEL
    row = await RequestRecord.objects.aget()
    assert (row.status, row.tokens_out, row.finish_reason) == ("ok", 300, "tool_calls")


@pytest.mark.django_db(transaction=True)
async def test_its_errors_come_back(openai_fake: FakeProvider, start: Start) -> None:
    error = {"error": {"message": "No such item", "type": "x", "param": "input[1]", "code": "c"}}
    openai_fake.next(Reply(error, 404))
    answer, body = await body_of(await start())
    assert (answer.status_code, body) == (404, error)


@pytest.mark.django_db(transaction=True)
async def test_a_failed_response_is_an_error(openai_fake: FakeProvider, start: Start) -> None:
    failed = {"id": "r", "status": "failed", "error": {"code": "server_error", "message": "Oops"}}
    openai_fake.always(Reply(failed))
    answer, _ = await body_of(await start())
    assert answer.status_code == 503


@pytest.mark.django_db(transaction=True)
async def test_reasoning_of_another_provider_is_not_sent(
    openai_fake: FakeProvider, start: Start
) -> None:
    from optimizer.domain.reasoning_seals import seal
    from providers.chat import Thinking

    sealed = seal(Thinking("Hm."), "deepseek", "deepseek-v4-flash")
    items = [
        {"role": "user", "content": "Hi"},
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": sealed},
        REASONING,
        {"role": "user", "content": "And?"},
    ]
    await body_of(await start(), input=items)
    assert openai_fake.asked[0].body["input"] == [items[0], REASONING, items[3]]
