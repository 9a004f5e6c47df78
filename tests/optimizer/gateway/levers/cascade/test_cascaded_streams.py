"""Streams through a cascade: nothing is sent before the check, and then all of one answer."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest

from analytics.models import RequestRecord
from optimizer.gateway import service
from tests.fakes.server import Reply
from tests.fakes.streams import anthropic_stream, gemini_stream, openai_stream
from tests.fakes.wires import anthropic_message, gemini_response, openai_completion
from tests.optimizer.gateway.levers.cascade.test_cascade import (
    ASKS_JSON,
    BAD,
    CHEAP,
    CHEAP_USAGE,
    GOOD,
    PROMPT,
    STRONG,
    STRONG_USAGE,
    STRONGER,
    Begin,
    Fakes,
    begin,
    only_row,
    price,
)
from tests.patience import eventually

__all__ = ["begin"]
OWN_WIRE = "openrouter/z-ai/glm-5.3-flash"


def streams(fakes: Fakes, cheap: str) -> None:
    fakes["claude"].always(
        Reply(chunks=anthropic_stream(anthropic_message("claude-haiku-5-5", cheap)))
    )
    fakes["openrouter"].always(
        Reply(chunks=openai_stream(openai_completion("z-ai/glm-5.3-flash", cheap)))
    )
    fakes["gemini"].always(Reply(chunks=gemini_stream(gemini_response("gemini-4-argon", STRONGER))))


BODY: dict[str, Any] = {
    "messages": [{"role": "user", "content": PROMPT}],
    "model": "auto",
    "stream": True,
    "stream_options": {"include_usage": True},
    "max_tokens": 500,
    **ASKS_JSON,
}


async def ask(client: httpx.AsyncClient) -> tuple[str, str]:
    """The text of the stream, and all of it as it came."""
    response = await client.post("/v1/chat/completions", json=BODY)
    assert response.status_code == 200, response.text
    lines = [line.removeprefix("data: ") for line in response.text.splitlines()]
    chunks = [json.loads(line) for line in lines if line.startswith("{")]
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    return "".join(delta.get("content") or "" for delta in deltas), response.text


@pytest.mark.parametrize("cheap", [CHEAP, OWN_WIRE], ids=["another wire", "the client's wire"])
@pytest.mark.parametrize("passes", [True, False])
async def test_a_stream_is_one_answer_from_its_beginning_to_its_end(
    begin: Begin, fakes: Fakes, cheap: str, passes: bool
) -> None:
    client = await begin(streams=True, cheap=[cheap])
    streams(fakes, GOOD if passes else BAD)
    text, whole = await ask(client)
    assert text == (GOOD if passes else STRONGER)
    assert "reply" not in whole
    assert whole.rstrip().endswith("[DONE]")
    row = await only_row()
    assert (str(row.ref), row.status) == (cheap if passes else STRONG, "ok")
    trial = row.levers["cascade"]
    assert (trial["served"], trial["escalated"]) == ("cheap" if passes else "strong", not passes)
    if cheap == CHEAP and not passes:
        assert row.cost == price(CHEAP, CHEAP_USAGE) + price(STRONG, STRONG_USAGE)
    assert [one["error"] for one in row.attempts] == ([] if passes else ["check_failed"])


async def test_its_client_is_kept_alive_meanwhile(
    begin: Begin, fakes: Fakes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "OPENS_AFTER_SECONDS", 0.01)
    client = await begin(streams=True)
    streams(fakes, BAD)
    fakes["gemini"].gate = asyncio.Event()
    asking = asyncio.create_task(ask(client))
    await eventually(lambda: bool(fakes["gemini"].asked))
    fakes["gemini"].gate.set()
    text, whole = await asking
    assert text == STRONGER
    assert whole.startswith(":")  # a comment came before the first content


async def test_a_stream_that_breaks_off_is_paid_for_and_never_seen(
    begin: Begin, fakes: Fakes
) -> None:
    client = await begin(streams=True)
    streams(fakes, GOOD)
    chunks = anthropic_stream(anthropic_message("claude-haiku-5-5", GOOD))
    fakes["claude"].always(Reply(chunks=chunks[: len(chunks) // 2], drop=True))
    text, whole = await ask(client)
    assert text == STRONGER
    assert "cheap" not in whole
    row = await only_row()
    assert row.levers["cascade"]["first_failed"] is True
    (attempt,) = row.attempts
    assert attempt["model"] == "claude-haiku-5-5"
    assert row.failed_cost > 0


async def test_a_client_that_leaves_while_the_first_answer_is_held_back_pays_for_it(
    begin: Begin, fakes: Fakes
) -> None:
    client = await begin(streams=True)
    streams(fakes, BAD)
    fakes["gemini"].gate = asyncio.Event()
    asking = asyncio.create_task(ask(client))
    await eventually(lambda: bool(fakes["gemini"].asked))
    asking.cancel()
    await asyncio.wait({asking})
    await eventually(lambda: RequestRecord.objects.aexists())
    fakes["gemini"].gate.set()
    row = await only_row()
    assert [one["error"] for one in row.attempts] == ["check_failed", "client_disconnected"]
    assert row.cost >= price(CHEAP, CHEAP_USAGE)
