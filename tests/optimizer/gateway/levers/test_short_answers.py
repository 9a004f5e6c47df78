"""A rule's note on the length of answers, on every API, over HTTP against local providers."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from analytics.models import Lever, RequestRecord, RoutingRule
from optimizer.gateway.levers.short_answers import with_note
from providers.chat import Chat, Message, OriginalRequest, Text, ToolResult
from tests.conftest import Start
from tests.fakes.server import FakeProvider

NOTE = "Answer in at most three sentences."
ASKED = "What is a monad?"
PARTS = [{"type": "text", "text": ASKED, "cache_control": {"type": "ephemeral"}}]


async def post(client: httpx.AsyncClient, path: str, body: dict[str, Any]) -> None:
    response = await client.post(path, json=body)
    assert response.status_code == 200, response.text


@pytest.mark.parametrize(
    ("path", "body", "provider", "sent"),
    [
        (
            "/v1/chat/completions",
            {"model": "openai/gpt-oss-20b", "messages": [{"role": "user", "content": ASKED}]},
            "openrouter",
            {"messages": [{"role": "user", "content": f"{ASKED}\n\n{NOTE}"}]},
        ),
        (
            # A part of its own: what is marked for the cache before it stays as it is.
            "/v1/messages",
            {
                "model": "claude-haiku-5-5", "max_tokens": 500, "metadata": {"user_id": "ann"},
                "messages": [{"role": "user", "content": PARTS}],
            },
            "claude",
            {"messages": [
                {"role": "user", "content": [*PARTS, {"type": "text", "text": NOTE}]}
            ]},
        ),
        (
            "/v1beta/models/gemini-3.8-flash:generateContent",
            {"contents": [{"role": "user", "parts": [{"text": ASKED}]}]},
            "gemini",
            {"contents": [{"role": "user", "parts": [{"text": ASKED}, {"text": NOTE}]}]},
        ),
        (
            # Another wire: written from the neutral form.
            "/v1/responses",
            {"model": "claude-haiku-5-5", "input": ASKED, "user": "ann"},
            "claude",
            {"messages": [{"role": "user", "content": [
                {"type": "text", "text": ASKED}, {"type": "text", "text": NOTE}
            ]}]},
        ),
    ],
)  # fmt: skip
async def test_the_note_stands_behind_the_user_s_words(
    transactional_db: None,
    fakes: dict[str, FakeProvider],
    start: Start,
    path: str,
    body: dict[str, Any],
    provider: str,
    sent: dict[str, Any],
) -> None:
    await Lever.objects.acreate(name="short_answers", mode="on")
    await RoutingRule.objects.acreate(name="short", enabled=True, texts=["monad"], answer_note=NOTE)
    client = await start()
    await post(client, path, body)
    for name, value in sent.items():
        assert fakes[provider].asked[-1].body[name] == value
    row = await RequestRecord.objects.aget()
    assert row.prompt == ASKED
    assert (row.levers["short_answers"]["rule"], row.levers["short_answers"]["arm"]) == (
        "short", "treated",
    )  # fmt: skip


@pytest.mark.parametrize("anyway", [False, True])
async def test_a_form_of_output_is_left_alone_unless_the_rule_says_so(
    transactional_db: None, fakes: dict[str, FakeProvider], start: Start, anyway: bool
) -> None:
    await Lever.objects.acreate(name="short_answers", mode="on")
    await RoutingRule.objects.acreate(
        name="short", enabled=True, texts=["monad"], answer_note=NOTE, note_everywhere=anyway
    )
    client = await start()
    body = {
        "model": "openai/gpt-oss-20b", "messages": [{"role": "user", "content": ASKED}],
        "response_format": {"type": "json_object"},
    }  # fmt: skip
    await post(client, "/v1/chat/completions", body)
    assert (NOTE in str(fakes["openrouter"].asked[-1].body)) == anyway
    assert ((await RequestRecord.objects.aget()).levers is not None) == anyway


async def test_a_rule_alone_does_nothing(
    transactional_db: None, fakes: dict[str, FakeProvider], start: Start
) -> None:
    await RoutingRule.objects.acreate(name="short", enabled=True, texts=["monad"], answer_note=NOTE)
    client = await start()
    body = {"model": "openai/gpt-oss-20b", "messages": [{"role": "user", "content": ASKED}]}
    await post(client, "/v1/chat/completions", body)
    assert NOTE not in str(fakes["openrouter"].asked[-1].body)


@pytest.mark.parametrize(
    "chat",
    [
        Chat((Message("user", (ToolResult("c1", (Text("output"),)),)),)),
        Chat((Message("user", (Text("Hi"),)), Message("assistant", (Text("Hello"),)))),
        Chat((Message("user", (Text("Hi"),)),), source=OriginalRequest(
            "openai-completions", {"prompt": "Hi"})),
        Chat((Message("user", (Text("Hi"),)),), source=OriginalRequest(
            "openai", {"messages": [{"role": "tool", "content": "Hi"}]})),
    ],
    ids=["a tool's result", "the assistant last", "no chat", "another role"],
)  # fmt: skip
def test_where_no_user_speaks_last_there_is_no_note(chat: Chat) -> None:
    assert with_note(chat, NOTE) is None
