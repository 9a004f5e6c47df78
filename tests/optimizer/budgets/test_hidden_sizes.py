"""A hostile load: inputs that hide their size behind a name, an address or an id.

Whatever a request says, the provider charges for a full context window. No number of such
requests at once may pass the budget.
"""

from __future__ import annotations

import asyncio
import base64
from decimal import Decimal
from typing import Any

import httpx
import pytest

from optimizer.wiring.build import get_services
from tests.conftest import Start
from tests.fakes.server import Asked, FakeProvider, Reply
from tests.fakes.wires import KEY, embeddings_wire, gemini_response
from tests.optimizer.budgets.test_reservations import booked, limit, recorded, uncached

__all__ = ["uncached"]

MODEL = "gemini-3.8-flash"
WINDOW = 1_000_000
PDF = base64.b64encode(b"%PDF-1.7\n" + bytes(range(200))).decode()


def gemini(*parts: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    content = {"role": "user", "parts": [{"text": "Sum up."}, *parts]}
    body = {"contents": [content], "generationConfig": {"maxOutputTokens": 100}}
    return f"/v1beta/models/{MODEL}:generateContent", body


def file(kind: str) -> dict[str, Any]:
    return {"fileData": {"fileUri": "https://example.com/film", "mimeType": kind}}


def chat(*parts: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    content = [{"type": "text", "text": "Sum up."}, *parts]
    body = {"model": MODEL, "max_tokens": 100, "messages": [{"role": "user", "content": content}]}
    return "/v1/chat/completions", body


def message(*parts: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    return "/v1/messages", chat(*parts)[1]


HIDDEN = {
    "a film called an image": gemini(file("image/png")),
    "a film called a text": gemini(file("text/plain")),
    "a film of no type": gemini({"file_data": {"file_uri": "https://example.com/film"}}),
    "a film called sound": gemini(file("audio/wav")),
    "a document called an image": gemini({"inlineData": {"mimeType": "image/png", "data": PDF}}),
    "a document called a text": gemini({"inlineData": {"mimeType": "text/plain", "data": PDF}}),
    "a document as the result of a function": gemini(
        {"functionResponse": {"name": "f", "response": {}, "parts": [file("image/png")]}}
    ),
    "an image's address in OpenAI's words": chat(
        {"type": "image_url", "image_url": {"url": "https://example.com/film"}}
    ),
    "a document in an image's URL": chat(
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PDF}"}}
    ),
    "an image's address in Anthropic's words": message(
        {"type": "image", "source": {"type": "url", "url": "https://example.com/film"}}
    ),
}


def charging_a_window(asked: Asked) -> Reply:
    usage = {"promptTokenCount": WINDOW - 100, "candidatesTokenCount": 100}
    return Reply(gemini_response(MODEL, usageMetadata=usage))


@pytest.mark.parametrize("name", HIDDEN)
async def test_no_input_of_hidden_size_passes_a_budget(
    uncached: httpx.AsyncClient, fakes: dict[str, FakeProvider], name: str
) -> None:
    path, body = HIDDEN[name]
    window = get_services().prices.most("gemini", MODEL, WINDOW, 100)
    assert window is not None
    budget = await limit(window * 2 + window / 2)
    fakes["gemini"].wire = charging_a_window
    fakes["gemini"].gate = asyncio.Event()
    asking = [asyncio.create_task(uncached.post(path, json=body)) for _ in range(8)]
    while sum(task.done() for task in asking) < 6:
        await asyncio.sleep(0.02)
    fakes["gemini"].gate.set()
    statuses = sorted([answer.status_code for answer in await asyncio.gather(*asking)])
    assert len(fakes["gemini"].asked) <= 2, statuses
    assert await booked() == await recorded()
    assert Decimal(0) < await recorded() <= budget.limit


IMAGE = {"type": "image_url", "image_url": {"url": "https://example.com/image"}}


async def test_with_refusal_of_unknown_input_nobody_reads_an_address_who_reads_all(
    transactional_db: None, fakes: dict[str, FakeProvider], start: Start, settings: Any
) -> None:
    """Google reads a film behind an image's address. Anthropic refuses it, and bounds images."""
    settings.BUDGET_UNKNOWN_INPUT = "refuse"
    settings.RESPONSE_CACHE = False
    client = await start()
    path, body = chat(IMAGE)
    assert (await client.post(path, json=body)).status_code == 200
    await limit("500")
    asked = len(fakes["gemini"].asked)
    for streamed in (False, True):
        refused = await client.post(path, json={**body, "stream": streamed})
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, "unknown_input_size")
        assert "an image by its address" in refused.text
    # Whoever may choose takes a model whose provider looks first.
    for model in ("auto", "claude-haiku-5-5"):
        served = await client.post(path, json={**body, "model": model})
        assert served.status_code == 200, served.text
        assert served.headers["x-optimizer-model"].startswith(("claude", "openai", "gpt"))
    assert len(fakes["gemini"].asked) == asked
    assert await booked() == await recorded()


async def test_no_embeddings_of_another_dialect_pass_a_budget(
    transactional_db: None, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "a " * 50_000

    def charging(asked: Asked) -> Reply:
        reply = embeddings_wire(asked)
        assert isinstance(reply.body, dict)
        return Reply({**reply.body, "usage": {"prompt_tokens": 50_000, "total_tokens": 50_000}})

    async with FakeProvider(charging) as fake:
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        monkeypatch.setenv("OPENAI_BASE_URL", fake.url)
        client = await start()
        most = get_services().prices.most("openai", "text-embedding-3-small", 150_000, 0)
        assert most is not None
        budget = await limit(most * 2)
        body = {"model": "text-embedding-3-small", "input": [{"text": text}]}
        replies = await asyncio.gather(
            *(client.post("/v1/embeddings", json=body) for _ in range(8))
        )
        assert {reply.status_code for reply in replies} <= {200, 400, 429}
        assert len(fake.asked) <= 2
        assert await recorded() <= budget.limit
