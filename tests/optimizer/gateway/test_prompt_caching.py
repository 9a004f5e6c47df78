"""Providers' prompt caches are asked for where a conversation goes on and the client does not."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import httpx
import pytest
from asgiref.sync import sync_to_async

from analytics.models import RoutingMetric
from analytics.reports.report import routing_report
from tests.conftest import Start
from tests.fakes.server import FakeProvider, Reply
from tests.fakes.wires import anthropic_message

pytestmark = pytest.mark.django_db(transaction=True)
SYSTEM = {"role": "system", "content": "many words " * 2_000}
TURNS = [
    SYSTEM,
    {"role": "user", "content": "first"},
    {"role": "assistant", "content": "second"},
    {"role": "user", "content": "third"},
]


async def ask(client: httpx.AsyncClient, turns: list[dict[str, Any]], **headers: str) -> None:
    body = {"model": "claude-sonnet-5-5", "messages": turns}
    reply = await client.post("/v1/chat/completions", json=body, headers=headers)
    assert reply.status_code == 200, reply.text


def marks(fakes: dict[str, FakeProvider]) -> int:
    return json.dumps(fakes["claude"].asked[-1].body).count('"cache_control"')


async def test_a_conversation_that_goes_on_is_marked(
    client: httpx.AsyncClient, fakes: dict[str, FakeProvider]
) -> None:
    usage = {"input_tokens": 10, "cache_read_input_tokens": 4_000, "output_tokens": 5}
    fakes["claude"].next(Reply(anthropic_message("claude-sonnet-5-5", usage=usage)))
    await ask(client, TURNS)
    assert marks(fakes) == 3
    metric = await RoutingMetric.objects.aget()
    assert metric.cache_marked
    assert metric.prompt_cache_saved is not None
    assert metric.prompt_cache_saved > 0
    report = await sync_to_async(routing_report)(1)
    assert report["prompt_cache"]["saved_by_own_marks"] == metric.prompt_cache_saved


async def test_a_single_question_is_not(
    client: httpx.AsyncClient, fakes: dict[str, FakeProvider]
) -> None:
    await ask(client, TURNS[:2])
    assert marks(fakes) == 0
    assert not (await RoutingMetric.objects.aget()).cache_marked


async def test_an_agent_s_first_turn_is_and_its_title_is_not(
    client: httpx.AsyncClient, fakes: dict[str, FakeProvider]
) -> None:
    agent = {"user-agent": "opencode/1.18.33 ai-sdk/provider-utils/4.0.23", "x-session-id": "s"}
    await ask(client, TURNS[:2], **agent)
    assert marks(fakes) == 2
    title = {"role": "system", "content": "You are a title generator." + " words" * 4_000}
    await ask(client, [title, TURNS[1]], **agent)
    assert marks(fakes) == 0


async def test_marks_of_the_client_are_enough(
    client: httpx.AsyncClient, fakes: dict[str, FakeProvider]
) -> None:
    part = {"type": "text", "text": SYSTEM["content"], "cache_control": {"type": "ephemeral"}}
    await ask(client, [{"role": "system", "content": [part]}, *TURNS[1:]])
    assert marks(fakes) == 1
    assert not (await RoutingMetric.objects.aget()).cache_marked
    report = await sync_to_async(routing_report)(1)
    assert report["prompt_cache"]["saved_by_own_marks"] == Decimal(0)


async def test_it_can_be_switched_off(
    transactional_db: None, fakes: dict[str, FakeProvider], start: Start, settings: Any
) -> None:
    settings.PROMPT_CACHING = False
    client = await start()
    await ask(client, TURNS)
    assert marks(fakes) == 0
