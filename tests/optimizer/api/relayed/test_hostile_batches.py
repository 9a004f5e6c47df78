"""A hostile load of batches: lines that hide sizes, tiers, tools and limits pass no budget."""

from __future__ import annotations

import asyncio
import base64
from decimal import Decimal
from typing import Any

import httpx
import pytest
from asgiref.sync import sync_to_async

from analytics.models import BudgetHold, ProviderObject
from optimizer.wiring.build import get_services
from tests.conftest import Start
from tests.fakes.server import FakeProvider, Reply
from tests.optimizer.api.relayed.conftest import Answers, key_of
from tests.optimizer.api.relayed.test_batch_costs import (
    ANTHROPIC,
    CLAUDE,
    CREATED,
    MESSAGES,
    MODEL,
    SHORT,
    asked,
    budget_of,
    held,
)

CHAT = "/v1/chat/completions"
FLAC = base64.b64encode(b"fLaC" + bytes(range(60))).decode()
PDF = base64.b64encode(b"%PDF-1.7\n" + bytes(range(60))).decode()
OUTPUT = 100


def parts(*content: dict[str, Any], **fields: Any) -> bytes:
    text = {"type": "text", "text": "Sum up."}
    turns = [{"role": "user", "content": [text, *content]}]
    return asked(1, max_tokens=OUTPUT, messages=turns, **fields)


def response(**fields: Any) -> bytes:
    return asked(1, "/v1/responses", **{"max_output_tokens": OUTPUT, "input": "Go on.", **fields})


# Each reads at most a context window of this model, at the rates of its batch or of its tier.
WINDOWS = {
    "a document by its id": parts({"type": "file", "file": {"file_id": "file-9"}}),
    "a document in an image's URL": parts(
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PDF}"}}
    ),
    "silence that is compressed": parts(
        {"type": "input_audio", "input_audio": {"data": FLAC, "format": "wav"}}
    ),
    "sound by its address": parts(
        {"type": "audio_url", "audio_url": {"url": "https://example.com/sound"}}
    ),
    "a document by its address": parts(
        {"type": "document_url", "document_url": "https://example.com/book"}
    ),
    "a stored response": response(previous_response_id="resp_1"),
    "a stored conversation": response(conversation="conv_1"),
    "a stored prompt": response(prompt={"id": "pmpt_1"}),
    "an item by its id": response(input=[{"type": "item_reference", "id": "msg_1"}]),
    "an id alone": response(input=[{"id": "msg_1"}]),
    "reasoning by its id": response(input=[{"type": "reasoning", "id": "rs_1", "summary": []}]),
    "tools of a server": response(tools=[{"type": "mcp", "server_url": "https://example.com"}]),
    "a search": response(tools=[{"type": "web_search"}]),
}


@pytest.mark.parametrize("name", WINDOWS)
async def test_no_line_of_hidden_size_passes_a_budget(
    client: httpx.AsyncClient, openai_fake: FakeProvider, openai_answers: Answers, name: str
) -> None:
    window = get_services().prices.context_window("openai", MODEL)
    most = get_services().prices.most("openai", MODEL, window, OUTPUT, "batch")
    assert most is not None
    openai_answers["POST", "/batches"] = CREATED
    openai_answers["GET", "/files/file-1/content"] = Reply(WINDOWS[name] * 3)
    await budget_of(str(round(3 * most - Decimal("0.0001"), 10)))
    answers = await asyncio.gather(
        *(client.post("/v1/batches", json={"input_file_id": "file-1"}) for _ in range(4))
    )
    assert {answer.status_code for answer in answers} == {429}
    assert not [call for call in openai_fake.asked if call.method == "POST"]
    assert await held() == 0


@pytest.mark.parametrize("tier", ["priority", "fast"])
async def test_a_tier_in_a_line_is_held_at_its_price(
    client: httpx.AsyncClient, openai_answers: Answers, tier: str
) -> None:
    await budget_of("100")
    openai_answers["POST", "/batches"] = CREATED
    openai_answers["GET", "/files/file-1/content"] = Reply(parts(service_tier=tier))
    await client.post("/v1/batches", json={"input_file_id": "file-1"})
    dearer = get_services().prices.most("openai", MODEL, 0, OUTPUT, tier)
    assert dearer is not None
    assert await held() >= dearer


async def test_a_limit_is_read_however_its_number_is_written(
    client: httpx.AsyncClient, openai_answers: Answers
) -> None:
    """Servers that check types loosely take 300000.0 and "300000" for a whole number."""
    output = get_services().prices.most("openai", MODEL, 0, 300_000, "batch")
    assert output is not None
    openai_answers["POST", "/batches"] = CREATED
    for number in (300_000, 300_000.0, "300000"):
        await budget_of("100")
        line = asked(1, max_tokens=10, max_completion_tokens=number, messages=[])
        openai_answers["GET", "/files/file-1/content"] = Reply(line)
        answer = await client.post("/v1/batches", json={"input_file_id": "file-1"})
        assert answer.status_code == 200
        assert await held() >= output
        await BudgetHold.objects.all().adelete()
    choices = asked(1, max_tokens=1_000, n=300.0, messages=[])
    openai_answers["GET", "/files/file-1/content"] = Reply(choices)
    await client.post("/v1/batches", json={"input_file_id": "file-1"})
    assert await held() >= output


DEEP = b"[" * 100_000 + b"]" * 100_000
NESTED = SHORT.replace(b'"custom_id"', b'"x": ' + DEEP + b', "custom_id"')
TWICE = SHORT.replace(b'"max_tokens": 200', b'"max_tokens": 128000, "max_tokens": 200')
UNREADABLE = {
    "no JSON": SHORT + b'{"body":\n',
    "nested too deeply to be read": NESTED,
    "a field twice, of which one counts": TWICE,
    "no body": b'{"custom_id": "1", "method": "POST", "url": "/v1/chat/completions"}\n',
    "lines that end otherwise": SHORT.strip() + b"\r" + SHORT,
}


@pytest.mark.parametrize("name", UNREADABLE)
async def test_a_line_that_may_be_read_in_another_way_is_refused(
    client: httpx.AsyncClient, openai_fake: FakeProvider, openai_answers: Answers, name: str
) -> None:
    await budget_of("100")
    openai_answers["POST", "/batches"] = CREATED
    openai_answers["GET", "/files/file-1/content"] = Reply(SHORT * 2 + UNREADABLE[name])
    refused = await client.post("/v1/batches", json={"input_file_id": "file-1"})
    assert refused.status_code == 403
    assert "line" in refused.text.lower()
    assert not [call for call in openai_fake.asked if call.method == "POST"]
    assert await held() == 0


async def test_a_line_called_embeddings_in_a_batch_of_chats_holds_its_output(
    client: httpx.AsyncClient, openai_answers: Answers
) -> None:
    await budget_of("100")
    openai_answers["POST", "/batches"] = CREATED
    line = asked(1, "/v1/embeddings", max_tokens=100_000, messages=[])
    openai_answers["GET", "/files/file-1/content"] = Reply(line)
    await client.post("/v1/batches", json={"input_file_id": "file-1", "endpoint": CHAT})
    output = get_services().prices.most("openai", MODEL, 0, 100_000, "batch")
    assert output is not None
    assert await held() >= output


@pytest.mark.parametrize(
    "body",
    [
        b'{"input_file_id": "file-9", "input_file_id": "file-1"}',
        b'{"x": ' + DEEP + b', "input_file_id": "file-9"}',
        b'["file-9"]',
    ],
    ids=["a field twice", "nested too deeply", "no object"],
)
async def test_the_body_of_a_batch_has_one_meaning(
    client: httpx.AsyncClient, openai_fake: FakeProvider, openai_answers: Answers, body: bytes
) -> None:
    """Without a budget too: a file of another tenant could be named beside one's own."""
    red = await key_of("red")
    await ProviderObject.objects.acreate(
        provider="openai", kind="file", object_id="file-1", tenant="team:red"
    )
    openai_answers["POST", "/batches"] = CREATED
    headers = {**red, "content-type": "application/json"}
    refused = await client.post("/v1/batches", content=body, headers=headers)
    assert refused.status_code == 400
    assert openai_fake.asked == []


async def test_messages_of_a_batch_with_a_larger_window_hold_it(
    client: httpx.AsyncClient, claude_answers: Answers
) -> None:
    """https://docs.claude.com/en/docs/build-with-claude/context-windows, context-1m-2025-08-07."""
    await budget_of("100")
    claude_answers["POST", "/v1/messages/batches"] = MESSAGES
    document = {"type": "document", "source": {"type": "url", "url": "https://example.com/book"}}
    turns = [{"role": "user", "content": [document]}]
    params = {"model": CLAUDE, "max_tokens": OUTPUT, "messages": turns}
    body = {"requests": [{"custom_id": "1", "params": params}]}
    headers = {**ANTHROPIC, "anthropic-beta": "context-1m-2025-08-07"}
    await client.post("/v1/messages/batches", json=body, headers=headers)
    most = get_services().prices.most("claude", CLAUDE, 1_000_000, OUTPUT, "batch")
    assert most is not None
    assert await held() >= most


async def test_with_refusal_of_unknown_input_no_line_has_any(
    transactional_db: None, openai_fake: FakeProvider, openai_answers: Answers, start: Start,
    settings: Any,
) -> None:  # fmt: skip
    settings.BUDGET_UNKNOWN_INPUT = "refuse"
    client = await start()
    openai_answers["POST", "/batches"] = CREATED
    await budget_of("100")
    for name, lines in WINDOWS.items():
        openai_answers["GET", "/files/file-1/content"] = Reply(SHORT + lines)
        refused = await client.post("/v1/batches", json={"input_file_id": "file-1"})
        assert (refused.status_code, refused.json()["error"]["code"]) == (
            400, "unknown_input_size",
        ), name  # fmt: skip
    # OpenAI refuses what is no image, and an image has a largest size.
    image = parts({"type": "image_url", "image_url": {"url": "https://example.com/image"}})
    openai_answers["GET", "/files/file-1/content"] = Reply(image)
    assert (await client.post("/v1/batches", json={"input_file_id": "file-1"})).status_code == 200
    assert await sync_to_async(BudgetHold.objects.exists)()
