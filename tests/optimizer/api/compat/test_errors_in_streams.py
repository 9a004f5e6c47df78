"""An error in the middle of a stream reaches a client of the provider's own wire as it came."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from analytics.models import BudgetHold, RequestRecord
from tests.conftest import Start
from tests.fakes.recordings import RECORDINGS
from tests.fakes.server import FakeProvider, Reply
from tests.fakes.wires import KEY, anthropic_wire
from tests.optimizer.gateway.test_fuzzed_answers import PROVIDERS, asking, events_of, wire_of

_FAILED = {"id": "resp_1", "object": "response", "status": "failed", "output": [],
           "error": {"code": "server_error", "message": "Boom."}}  # fmt: skip
ERRORS: list[tuple[str, str, str, dict[str, Any]]] = [
    ("messages", "claude", "error",
     {"type": "error", "error": {"type": "overloaded_error", "message": "Busy.", "details": 7}}),
    ("messages", "claude", "error", {"type": "error", "error": {"type": "new", "message": "?"}}),
    ("chat", "openai", "", {"error": {"message": "Boom.", "type": "server_error", "code": None}}),
    ("chat", "openrouter", "",
     {"id": "g", "error": {"code": 502, "message": "Boom.", "metadata": {"provider_name": "x"}},
      "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "error"}]}),
    ("responses", "openai", "error",
     {"type": "error", "code": "server_error", "message": "Boom.", "sequence_number": 9}),
    ("responses", "openai", "response.failed",
     {"type": "response.failed", "sequence_number": 9, "response": _FAILED}),
    ("gemini", "gemini", "",
     {"error": {"code": 503, "message": "Busy.", "status": "UNAVAILABLE", "details": [{"a": 1}]}}),
]  # fmt: skip


@pytest.fixture
async def fake(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeProvider]:
    async with FakeProvider(anthropic_wire) as server:
        for variable, _ in PROVIDERS.values():
            monkeypatch.setenv(f"{variable}_API_KEY", KEY)
            monkeypatch.setenv(f"{variable}_BASE_URL", server.url)
        yield server


def failing(provider: str, api: str, name: str, error: dict[str, Any], *, most: int) -> Reply:
    """The first ``most`` events of the recorded answer, then the error."""
    chunks = []
    for event, data in [*RECORDINGS[wire_of(provider, api)].events[:most], (name, error)]:
        text = data if isinstance(data, str) else json.dumps(data)
        head = f"event: {event}\n" if event else ""
        chunks.append(f"{head}data: {text}\n\n".encode())
    return Reply(chunks=chunks)


async def ask(client: httpx.AsyncClient, api: str, provider: str) -> httpx.Response:
    path, body = asking(api, PROVIDERS[provider][1], "What is Paris?", streamed=True)
    answer = await client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    return answer


@pytest.mark.parametrize(("api", "provider", "name", "error"), ERRORS)
async def test_the_provider_s_own_message_ends_the_stream(
    transactional_db: None, fake: FakeProvider, start: Start, api: str, provider: str, name: str,
    error: dict[str, Any],
) -> None:  # fmt: skip
    fake.always(failing(provider, api, name, error, most=5))
    answer = await ask(await start(), api, provider)
    last_name, last = events_of(answer.text)[-1]
    assert last == error
    assert last_name == (name or "None")
    record = await RequestRecord.objects.aget()
    assert record.status == "partial"
    assert not await BudgetHold.objects.aexists()


async def test_what_a_failed_response_used_is_recorded(
    transactional_db: None, fake: FakeProvider, start: Start
) -> None:
    usage = {"input_tokens": 1000, "output_tokens": 700, "total_tokens": 1700}
    failed = {"type": "response.failed", "response": {**_FAILED, "usage": usage}}
    fake.always(failing("openai", "responses", "response.failed", failed, most=5))
    await ask(await start(), "responses", "openai")
    record = await RequestRecord.objects.aget()
    assert (record.tokens_in, record.tokens_out) == (1000, 700)


async def test_tools_count_where_the_response_at_the_end_has_no_items(
    transactional_db: None, fake: FakeProvider, start: Start
) -> None:
    recorded = RECORDINGS[wire_of("openai", "responses")].events
    last = json.loads(recorded[-1][1]) if isinstance(recorded[-1][1], str) else recorded[-1][1]
    search = {"type": "web_search_call", "id": "ws_1", "action": {"type": "search", "query": "x"}}
    done = {"type": "response.output_item.done", "output_index": 9, "item": search}
    ended = {**last, "response": {**last["response"], "output": []}}
    events = [*recorded[:-1], (done["type"], done), (last["type"], ended)]
    chunks = [
        f"event: {name}\ndata: {data if isinstance(data, str) else json.dumps(data)}\n\n".encode()
        for name, data in events
    ]
    fake.always(Reply(chunks=chunks))
    await ask(await start(), "responses", "openai")
    record = await RequestRecord.objects.aget()
    assert (record.billed_units or {}).get("web_searches") == 1


async def test_a_client_of_another_wire_gets_an_error_of_its_own(
    transactional_db: None, fake: FakeProvider, start: Start
) -> None:
    *_, name, error = ERRORS[0]
    fake.always(failing("claude", "chat", name, error, most=5))
    last = events_of((await ask(await start(), "chat", "claude")).text)[-1][1]
    assert last["error"]["code"] == "overloaded"


async def test_an_error_with_the_key_is_not_passed_on(
    transactional_db: None, fake: FakeProvider, start: Start
) -> None:
    error = {"type": "error", "error": {"type": "api_error", "message": f"Bad key {KEY}"}}
    fake.always(failing("claude", "messages", "error", error, most=5))
    assert KEY not in (await ask(await start(), "messages", "claude")).text


async def test_what_was_answered_before_the_error_arrives(
    transactional_db: None, fake: FakeProvider, start: Start
) -> None:
    *_, error = ERRORS[-1]
    events = RECORDINGS["gemini"].events
    fake.always(failing("gemini", "gemini", "", error, most=len(events)))
    answer = await ask(await start(), "gemini", "gemini")
    arrived = [data for _, data in events_of(answer.text)]
    assert arrived == [data for _, data in events] + [error]


@pytest.mark.parametrize("status", [429, 503, 529])
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(("api", "provider"), [
    ("messages", "claude"), ("chat", "openai"), ("responses", "openai"), ("gemini", "gemini"),
])  # fmt: skip
async def test_a_limit_of_the_named_model_is_reported_in_the_provider_s_words(
    transactional_db: None, fake: FakeProvider, start: Start, settings: Any, status: int,
    streamed: bool, api: str, provider: str,
) -> None:  # fmt: skip
    settings.PROVIDER_RETRIES = 0
    headers = {"retry-after": "7", "request-id": "req_1", "x-ratelimit-remaining-requests": "0"}
    error = {"type": "error", "error": {"type": "limit", "code": "rate_limit_exceeded", "d": 1}}
    fake.always(Reply(json.dumps(error).encode(), status, headers=headers))
    path, body = asking(api, PROVIDERS[provider][1], "What is Paris?", streamed=streamed)
    answer = await (await start()).post(path, json=body)
    assert (answer.status_code, answer.json()) == (503 if status == 529 else status, error)
    assert answer.headers["request-id"] == "req_1"
    assert answer.headers["retry-after"] == "7"
    assert answer.headers["x-ratelimit-remaining-requests"] == "0"
