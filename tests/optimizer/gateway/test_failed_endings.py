"""Answers that end in an error with status 200, and those whose end says nothing of their calls."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from analytics.models import BudgetHold, RequestRecord
from tests.conftest import Start
from tests.fakes.answers import anthropic_answer, gemini_answer, openai_answer
from tests.fakes.server import Asked, FakeProvider, Reply
from tests.fakes.wires import KEY, as_asked
from tests.optimizer.gateway.test_fuzzed_answers import APIS, PROVIDERS, asking, events_of

GOOD = "All is well."
# One ending of each wire that is a failure, and where it is documented.
ENDINGS = {
    # https://openrouter.ai/docs/api/reference/errors-and-debugging; Mistral has the word too.
    "openrouter": "error",
    # Cohere: https://docs.cohere.com/reference/chat
    "openai": "ERROR",
    # https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html
    "claude": "malformed_tool_use",
    # https://ai.google.dev/api/generate-content#FinishReason
    "gemini": "MALFORMED_FUNCTION_CALL",
}
CHAT_APIS = [api for api in APIS if api != "responses"]


def body_of(asked: Asked, text: str, ending: str = "", calls: Any = ()) -> dict[str, Any]:
    """An answer in the wire of the request, which ends for the reason ``ending``."""
    if "GenerateContent" in asked.path or "generateContent" in asked.path:
        body = gemini_answer(text, calls, "stop")
        holder, name = body["candidates"][0], "finishReason"
    elif asked.path.endswith("/messages"):
        body = anthropic_answer(text, calls, "stop")
        holder, name = body, "stop_reason"
    else:
        body = openai_answer(text, calls, "stop")
        holder, name = body["choices"][0], "finish_reason"
    if ending:
        holder[name] = ending
    return body


def failing_first(text: str) -> Any:
    """A wire whose first answer ends in an error after ``text``; all others are good."""
    number = 0

    def wire(asked: Asked) -> Reply:
        nonlocal number
        number += 1
        if number > 1:
            return as_asked(asked, body_of(asked, GOOD))
        name = {"messages": "claude", "completions": "openai"}
        ending = ENDINGS[name.get(asked.path.rpartition("/")[2], "gemini")]
        return as_asked(asked, body_of(asked, text, ending))

    return wire


@pytest.fixture
async def fake(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeProvider]:
    async with FakeProvider(failing_first("")) as server:
        for variable, _ in PROVIDERS.values():
            monkeypatch.setenv(f"{variable}_BASE_URL", server.url)
        yield server


@pytest.fixture(params=["openrouter", "claude", "gemini"])
def provider(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The one provider that has a key; ``auto`` falls back to another model of it."""
    monkeypatch.setenv(f"{PROVIDERS[request.param][0]}_API_KEY", KEY)
    return str(request.param)


async def ask(client: httpx.AsyncClient, api: str, model: str, *, streamed: bool) -> httpx.Response:
    path, body = asking(api, model, "What is the capital of France?", streamed=streamed)
    return await client.post(path, json=body)


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_another_model_answers_and_what_failed_is_paid(
    transactional_db: None, fake: FakeProvider, start: Start, provider: str, api: str,
    streamed: bool,
) -> None:  # fmt: skip
    # A whole answer is not delivered yet, a streamed one must have no content.
    fake.wire = failing_first("" if streamed else "Half an answ")
    answer = await ask(await start(), api, "auto", streamed=streamed)
    assert answer.status_code == 200, answer.text
    assert "Half" not in answer.text
    assert "well" in answer.text
    assert len(fake.asked) == 2
    record = await RequestRecord.objects.aget()
    assert record.status == "ok"
    (attempt,) = record.attempts
    assert attempt["provider"] == provider
    assert record.failed_cost > 0
    assert record.cost > record.failed_cost
    assert not await BudgetHold.objects.aexists()


@pytest.mark.parametrize("api", APIS)
async def test_a_stream_that_ends_in_an_error_says_so(
    transactional_db: None, fake: FakeProvider, start: Start, provider: str, api: str
) -> None:
    fake.wire = failing_first("Half an answer")
    answer = await ask(await start(), api, PROVIDERS[provider][1], streamed=True)
    assert answer.status_code == 200, answer.text
    name, last = events_of(answer.text)[-1]
    assert "error" in last or name in ("error", "response.failed"), answer.text
    record = await RequestRecord.objects.aget()
    assert record.status == "partial"
    assert (record.tokens_in, record.tokens_out) == (20, 9)
    assert record.cost


@pytest.mark.parametrize("reason", [None, "", "missing"])
@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_calls_end_an_answer_whose_reason_is_missing(
    transactional_db: None, fake: FakeProvider, start: Start, reason: str | None, api: str,
    streamed: bool, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    calls = [("toolu_1", "find", {"city": "Paris"})]

    def wire(asked: Asked) -> Reply:
        body = body_of(asked, "Let me look.", calls=calls)
        if reason == "missing":
            del body["stop_reason"]
        else:
            body["stop_reason"] = reason
        reply = as_asked(asked, body)
        if streamed and reason == "missing":
            chunks = [chunk for chunk in reply.chunks or () if b'"message_delta"' not in chunk]
            return Reply(chunks=chunks)
        return reply

    fake.wire = wire
    answer = await ask(await start(), api, "claude-haiku-5-5", streamed=streamed)
    assert answer.status_code == 200, answer.text
    data = [event for _, event in events_of(answer.text)] if streamed else [answer.json()]
    text = json.dumps(data)
    if api == "messages":
        deltas = [d for d in data if d.get("type") == "message_delta"] if streamed else data
        last = deltas[-1]
        assert (last["delta"] if streamed else last)["stop_reason"] == "tool_use"
        assert last["usage"]["output_tokens"]
        assert "optimizer" in text or not streamed
    elif api == "chat":
        assert '"finish_reason": "tool_calls"' in text
    elif api == "responses":
        assert '"status": "completed"' in text
        assert "function_call" in text
    else:
        assert '"finishReason": "STOP"' in text
        assert "functionCall" in text
    record = await RequestRecord.objects.aget()
    assert record.finish_reason == "tool_calls"
