"""Answers that broken servers gave: each of them was once an error of ours."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from analytics.models import RequestRecord
from tests.conftest import Start
from tests.fakes.recordings import RECORDINGS, Event
from tests.fakes.server import FakeProvider, Reply
from tests.fakes.wires import KEY, anthropic_wire
from tests.optimizer.gateway.test_fuzzed_answers import (
    APIS,
    PROVIDERS,
    asking,
    check_body,
    strict,
    wire_of,
)

OWN_WIRES = [("chat", "openai"), ("responses", "openai"), ("messages", "claude"),
             ("gemini", "gemini")]  # fmt: skip
ODD = [
    pytest.param("[" * n + "]" * n, id=f"{n} levels") for n in (100, 300, 600, 900)
] + [pytest.param('{"big": 1' + "0" * 40 + ', "infinite": 1e400}', id="numbers"),
     pytest.param("[NaN, Infinity, -Infinity]", id="constants")]  # fmt: skip


@pytest.fixture
async def fake(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeProvider]:
    async with FakeProvider(anthropic_wire) as server:
        for variable, _ in PROVIDERS.values():
            monkeypatch.setenv(f"{variable}_API_KEY", KEY)
            monkeypatch.setenv(f"{variable}_BASE_URL", server.url)
        yield server


def streamed_reply(events: list[Event], odd: str = "") -> Reply:
    """The events, each with a field that holds ``odd``."""
    chunks = []
    for name, data in events:
        text = data if isinstance(data, str) else with_field(data, odd)
        chunks.append((f"event: {name}\n" if name else "").encode() + f"data: {text}\n\n".encode())
    return Reply(chunks=chunks)


def with_field(body: dict[str, Any], odd: str) -> str:
    text = json.dumps(body)
    return text[:-1] + f', "odd": {odd}}}' if odd else text


async def ask(
    client: httpx.AsyncClient, api: str, provider: str, *, streamed: bool
) -> httpx.Response:
    path, body = asking(api, PROVIDERS[provider][1], "What is Paris?", streamed=streamed)
    answer = await client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    check_body(api, answer, streamed=streamed)
    return answer


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_a_field_that_python_reads_but_does_not_write_costs_no_answer(
    transactional_db: None, fake: FakeProvider, start: Start, odd: str, streamed: bool
) -> None:
    client, rows = await start(), 0
    for provider in PROVIDERS:
        for api in APIS:
            recording = RECORDINGS[wire_of(provider, api)]
            whole = Reply(with_field(recording.whole, odd).encode())
            fake.always(streamed_reply(recording.events, odd) if streamed else whole)
            path, body = asking(api, PROVIDERS[provider][1], f"{rows}?", streamed=streamed)
            answer = await client.post(path, json=body)
            assert answer.status_code == 200, answer.text
            check_body(api, answer, streamed=streamed)
            assert '"error":{' not in answer.text
            rows += 1
    records = [record async for record in RequestRecord.objects.all()]
    assert len(records) == rows
    assert all(record.cost for record in records)


@pytest.mark.parametrize(("api", "provider"), OWN_WIRES)
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
async def test_an_answer_in_another_encoding_is_passed_on_as_plain_json(
    transactional_db: None, fake: FakeProvider, start: Start, api: str, provider: str,
    encoding: str,
) -> None:  # fmt: skip
    whole = RECORDINGS[wire_of(provider, api)].whole
    fake.always(Reply(json.dumps(whole).encode(encoding)))
    answer = await ask(await start(), api, provider, streamed=False)
    assert strict(answer.content.decode()).keys() >= whole.keys()


@pytest.mark.parametrize(("api", "provider", "end"), [
    ("chat", "openai", "data: [DONE]\n\n"),
    ("chat", "openrouter", "data: [DONE]\n\n"),
    ("messages", "claude", 'event: message_stop\ndata: {"type": "message_stop"}\n\n'),
])  # fmt: skip
@pytest.mark.parametrize("forgotten", [False, True])
async def test_a_stream_has_its_end_once_even_if_the_provider_forgets_it(
    transactional_db: None, fake: FakeProvider, start: Start, api: str, provider: str, end: str,
    forgotten: bool,
) -> None:  # fmt: skip
    events = RECORDINGS[wire_of(provider, api)].events
    fake.always(streamed_reply(events[:-1] if forgotten else events))
    answer = await ask(await start(), api, provider, streamed=True)
    assert answer.text.endswith(end)
    assert answer.text.count(end) == 1


@pytest.mark.parametrize("kind", ["application/json", "text/html", "text/plain", ""])
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_a_stream_of_events_is_read_whatever_the_server_calls_it(
    transactional_db: None, fake: FakeProvider, start: Start, kind: str, streamed: bool
) -> None:
    client = await start()
    for provider in PROVIDERS:
        for api in APIS:
            events = RECORDINGS[wire_of(provider, api)].events
            body = b": alive\n\n" + b"".join(streamed_reply(events).chunks or ())
            fake.always(Reply(body, headers={"content-type": kind}))
            path, request = asking(api, PROVIDERS[provider][1], f"{provider}?", streamed=streamed)
            answer = await client.post(path, json=request)
            assert answer.status_code == 200, (provider, api, answer.text)
            check_body(api, answer, streamed=streamed)
            assert "Paris" in answer.text
            assert '"error":{' not in answer.text
    assert all([record.cost async for record in RequestRecord.objects.all()])
