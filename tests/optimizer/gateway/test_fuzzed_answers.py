"""Whatever a provider answers: an answer or a typed error, one row, and nothing stays held."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from hypothesis import given, note
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from analytics.models import BudgetHold, RequestRecord
from optimizer.wiring.build import get_services
from tests.conftest import Start
from tests.fakes.damage import streamed_replies, whole_replies
from tests.fakes.recordings import RECORDINGS
from tests.fakes.server import FakeProvider, Reply
from tests.fakes.wires import KEY, anthropic_wire
from tests.optimizer.budgets.test_reservations import limit

EXAMPLES = 60
# The variable of the provider's address, the model, and the wire that it answers in.
PROVIDERS = {
    "openrouter": ("OPENROUTER", "openrouter/openai/gpt-4o"),
    "openai": ("OPENAI", "gpt-6-luna"),
    "claude": ("ANTHROPIC", "claude-haiku-5-5"),
    "gemini": ("GEMINI", "gemini-3.8-flash"),
}
APIS = ["chat", "responses", "messages", "gemini"]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
NAMES = ["find", "sum"]
FAILURES = {502, 503, 504, 429}


def wire_of(provider: str, api: str) -> str:
    """The wire in which the provider answers a request of this API."""
    if provider == "openai":
        return "responses" if api == "responses" else "chat"
    return {"openrouter": "chat", "claude": "messages", "gemini": "gemini"}[provider]


def asking(api: str, model: str, question: str, *, streamed: bool) -> tuple[str, dict[str, Any]]:
    """The path and the body of a request."""
    messages = [{"role": "user", "content": question}]
    head = {"model": model, "stream": streamed}
    if api == "chat":
        tools = [{"type": "function", "function": {"name": n, "parameters": SCHEMA}} for n in NAMES]
        more = {"stream_options": {"include_usage": True}} if streamed else {}
        body = {**head, **more, "messages": messages, "max_tokens": 50, "tools": tools}
        return "/v1/chat/completions", body
    if api == "responses":
        tools = [{"type": "function", "name": n, "parameters": SCHEMA} for n in NAMES]
        return "/v1/responses", {**head, "input": question, "store": False, "tools": tools}
    if api == "messages":
        tools = [{"name": n, "input_schema": SCHEMA} for n in NAMES]
        return "/v1/messages", {**head, "messages": messages, "max_tokens": 50, "tools": tools}
    functions = [{"name": n, "parameters": SCHEMA} for n in NAMES]
    body = {
        "contents": [{"role": "user", "parts": [{"text": question}]}],
        "tools": [{"functionDeclarations": functions}],
    }
    way = "streamGenerateContent?alt=sse" if streamed else "generateContent"
    return f"/v1beta/models/{model}:{way}", body


def strict(text: str) -> Any:
    """Read JSON as clients in most languages do: without NaN and infinity."""

    def refuse(constant: str) -> None:
        raise ValueError(constant)

    return json.loads(text, parse_constant=refuse)


def events_of(text: str) -> list[tuple[str, Any]]:
    """The name and the data of each event of a stream: JSON, or ``[DONE]`` as an empty object."""
    found = []
    for block in text.split("\n\n"):
        lines = [line for line in block.split("\n") if line and not line.startswith(":")]
        assert all(line.startswith(("data: ", "event: ")) for line in lines)
        fields = dict(line.split(": ", 1) for line in lines)
        if "data" in fields:
            done = fields["data"] == "[DONE]"
            data = {"type": "[DONE]"} if done else strict(fields["data"])
            assert isinstance(data, dict)
            found.append((fields.get("event") or str(data.get("type")), data))
    return found


ENDINGS = {
    "chat": {"[DONE]"},
    "messages": {"message_stop"},
    "responses": {"response.completed", "response.incomplete", "response.failed"},
}


def ends(api: str, name: str, data: dict[str, Any]) -> bool:
    """Whether a stream of this API may end with this event."""
    if "error" in data or "error" in (name, data.get("type")):
        return True
    if api == "gemini":
        return "finishReason" in json.dumps(data) or "promptFeedback" in data
    return name in ENDINGS[api] or str(data.get("type")) in ENDINGS[api]


def check_body(api: str, answer: httpx.Response, *, streamed: bool) -> None:
    """The answer is one of its API, as far as it goes."""
    if streamed and answer.status_code == 200:
        events = events_of(answer.text)
        assert any(ends(api, *event) for event in events)
    else:
        body = strict(answer.text)
        assert isinstance(body, dict)
        assert answer.status_code == 200 or "error" in body


@pytest.fixture
async def fake() -> AsyncIterator[FakeProvider]:
    async with FakeProvider(anthropic_wire) as server:
        yield server


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("provider", PROVIDERS)
async def test_any_answer_is_one_row_and_no_hold(
    transactional_db: None, fake: FakeProvider, start: Start, settings: Any,
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, provider: str,
    streamed: bool,
) -> None:  # fmt: skip
    settings.PROVIDER_RETRIES, settings.BREAKER_FAILURES = 0, 10_000
    variable, model = PROVIDERS[provider]
    monkeypatch.setenv(f"{variable}_API_KEY", KEY)
    monkeypatch.setenv(f"{variable}_BASE_URL", fake.url)
    client = await start()
    await limit("1000000000")
    loop, numbers = asyncio.get_running_loop(), itertools.count()

    def replies(api: str) -> st.SearchStrategy[tuple[str, Reply]]:
        make = streamed_replies if streamed else whole_replies
        return st.tuples(st.just(api), make(RECORDINGS[wire_of(provider, api)]))

    @hypothesis_settings(max_examples=EXAMPLES, database=None, derandomize=True)
    @given(st.sampled_from(APIS).flatmap(replies))
    def check(case: tuple[str, Reply]) -> None:
        api, reply = case
        path, body = asking(api, model, f"What is {next(numbers)}?", streamed=streamed)
        caplog.clear()
        one = answered(client, fake, reply, path, body)
        answer = asyncio.run_coroutine_threadsafe(one, loop).result(30)
        note(f"{api}: {reply}\n{answer.status_code}: {answer.text}")
        expected = {200} if reply.status == 200 else {400} if reply.status < 500 else set[int]()
        assert answer.status_code in FAILURES | expected
        check_body(api, answer, streamed=streamed)
        assert errors(caplog) == []

    await asyncio.to_thread(check)
    assert not await BudgetHold.objects.aexists()


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What went wrong by itself, and not for a provider's failure."""
    return [
        record.getMessage()
        for record in caplog.records
        if record.levelno >= logging.ERROR
        and not (record.name.endswith("fast_path") and record.getMessage().startswith("503 at"))
    ]


async def answered(
    client: httpx.AsyncClient, fake: FakeProvider, reply: Reply, path: str, body: dict[str, Any]
) -> httpx.Response:
    """Ask, and look at what is recorded."""
    calls = len(fake.asked)
    fake.always(reply)
    answer = await client.post(path, json=body)
    assert len(fake.asked) == calls + 1
    services = get_services()
    await services.routing.drain()
    # The tests' database may be locked for a moment: then the journal has the record.
    services.ledger.database.reset()
    await services.ledger.catch_up()
    request_id = answer.headers["x-request-id"]
    (row,) = [row async for row in RequestRecord.objects.filter(pk=request_id)]
    assert row.cost is None or 0 <= row.cost < 1_000
    assert not await BudgetHold.objects.filter(request_id=request_id).aexists()
    assert await RequestRecord.objects.acount() == calls + 1
    return answer
