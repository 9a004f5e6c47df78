"""A chat that ends with calls, or goes on without their results, suits any chosen model."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from providers.tool_results import NO_RESULT
from tests.conftest import Start
from tests.fakes.recordings import RECORDINGS
from tests.fakes.server import Asked, FakeProvider, Reply
from tests.fakes.wires import KEY
from tests.optimizer.gateway.test_fuzzed_answers import APIS, PROVIDERS, asking

OPEN: dict[str, list[Any]] = {
    "chat": [{"role": "assistant", "content": None, "tool_calls": [
        {"id": "call_1", "type": "function", "function": {"name": "find", "arguments": "{}"}}]}],
    "responses": [{"type": "function_call", "call_id": "call_1", "name": "find",
                   "arguments": "{}"}],
    "messages": [{"role": "assistant", "content": [
        {"type": "tool_use", "id": "call_1", "name": "find", "input": {}}]}],
    "gemini": [{"role": "model", "parts": [{"functionCall": {"name": "find", "args": {}}}]}],
}  # fmt: skip
STOP: dict[str, Any] = {
    "chat": {"role": "user", "content": "Stop."},
    "responses": {"role": "user", "content": "Stop."},
    "messages": {"role": "user", "content": "Stop."},
    "gemini": {"role": "user", "parts": [{"text": "Stop."}]},
}


def answering(asked: Asked) -> Reply:
    if "generateContent" in asked.path:
        return Reply(RECORDINGS["gemini"].whole)
    name = {"messages": "messages", "responses": "responses"}
    return Reply(RECORDINGS[name.get(asked.path.rpartition("/")[2], "chat")].whole)


@pytest.fixture
async def fake(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeProvider]:
    async with FakeProvider(answering) as server:
        for variable, _ in PROVIDERS.values():
            monkeypatch.setenv(f"{variable}_BASE_URL", server.url)
        yield server


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("goes_on", [False, True], ids=["ends", "goes on"])
async def test_the_provider_is_told_that_there_is_no_result(
    transactional_db: None, fake: FakeProvider, start: Start, monkeypatch: pytest.MonkeyPatch,
    provider: str, api: str, goes_on: bool,
) -> None:  # fmt: skip
    monkeypatch.setenv(f"{PROVIDERS[provider][0]}_API_KEY", KEY)
    path, body = asking(api, "auto", "Find Paris", streamed=False)
    name = {"responses": "input", "gemini": "contents"}.get(api, "messages")
    question = [STOP["responses"]] if api == "responses" else body[name]
    body[name] = [*question, *OPEN[api], *([STOP[api]] if goes_on else [])]
    answer = await (await start()).post(path, json=body)
    assert answer.status_code == 200, answer.text
    assert json.dumps(fake.asked[-1].body).count(NO_RESULT) == 1
