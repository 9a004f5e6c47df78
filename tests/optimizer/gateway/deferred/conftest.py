"""The service with its batch lane over fakes of the three batch APIs; time passes as told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest
from asgiref.sync import sync_to_async
from django.db.models import DateTimeField, F

from analytics.models import (
    BudgetHold,
    ClientBatch,
    DeferredRequest,
    LaneLease,
    ProviderBatch,
    RequestRecord,
)
from optimizer.gateway.deferred.lane import BatchLane
from optimizer.wiring.build import get_services
from tests.conftest import KEY, Start, stop_services
from tests.fakes.batches import (
    AnthropicBatchFake,
    BatchProvider,
    GeminiBatchFake,
    OpenAIBatchFake,
)
from tests.fakes.server import FakeProvider

MODELS = {
    "openai": "gpt-6-luna",
    "claude": "claude-haiku-5-5",
    "gemini": "gemini-3.5-flash-lite",
}
PROMPT = "What is the capital of France?"
Fakes = dict[str, tuple[FakeProvider, BatchProvider]]


@pytest.fixture
async def batch_fakes(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Fakes]:
    """The three providers on loopback, with their batches."""
    wires: dict[str, BatchProvider] = {
        "openai": OpenAIBatchFake(),
        "claude": AnthropicBatchFake(),
        "gemini": GeminiBatchFake(),
    }
    async with (
        FakeProvider(wires["openai"]) as openai,  # type: ignore[arg-type]
        FakeProvider(wires["claude"]) as claude,  # type: ignore[arg-type]
        FakeProvider(wires["gemini"]) as gemini,  # type: ignore[arg-type]
    ):
        servers = {"openai": openai, "claude": claude, "gemini": gemini}
        for variable, server in (
            ("OPENAI", openai),
            ("ANTHROPIC", claude),
            ("GEMINI", gemini),
        ):
            monkeypatch.setenv(f"{variable}_API_KEY", KEY)
            monkeypatch.setenv(f"{variable}_BASE_URL", server.url)
        yield {name: (server, wires[name]) for name, server in servers.items()}


@pytest.fixture
async def client(
    transactional_db: None, batch_fakes: Fakes, settings: Any, start: Start
) -> httpx.AsyncClient:
    """The service with the lever on; its lane works only when a test says so."""
    settings.LEVERS = "batch:on"
    return await begin(start)


async def begin(start: Start) -> httpx.AsyncClient:
    """Start the service without the lane's own rounds."""
    client = await start()
    for task in get_services()._upkeep:
        if "BatchLane.run" in repr(task.get_coro()):
            task.cancel()
    return client


@pytest.fixture
def restart(start: Start) -> Callable[[], Awaitable[httpx.AsyncClient]]:
    """``await restart()``: end the service, whatever it was doing, and begin anew."""

    async def again() -> httpx.AsyncClient:
        await stop_services()
        return await begin(start)

    return again


async def ask(
    client: httpx.AsyncClient, model: str = MODELS["openai"], number: int = 0, **more: Any
) -> httpx.Response:
    """Ask for a chat completion that may wait for twelve hours."""
    headers = {"prefer": "respond-async", **more.pop("headers", {})}
    body = {
        "model": model,
        "max_tokens": 100,
        "messages": [{"role": "user", "content": f"{PROMPT} {number}"}],
        "optimizer": {"deadline": "12h", **more.pop("optimizer", {})},
        **more,
    }
    return await client.post("/v1/chat/completions", json=body, headers=headers)


async def ask_many(
    client: httpx.AsyncClient, count: int, model: str = MODELS["openai"], **more: Any
) -> list[str]:
    """Return the ids of so many accepted requests."""
    answers = [await ask(client, model, number, **more) for number in range(count)]
    assert [answer.status_code for answer in answers] == [202] * count, answers[0].text
    return [answer.json()["id"] for answer in answers]


def lane() -> BatchLane:
    return get_services().batch_lane


async def work(rounds: int = 1) -> None:
    """Let the lane do so many rounds, with the calls that it begins."""
    for _ in range(rounds):
        await lane().work()
        await asyncio.wait_for(lane().settle_calls(), 20)


async def pass_time(seconds: float) -> None:
    """Move all that is stored into the past."""

    def move() -> None:
        for table in (DeferredRequest, ProviderBatch, ClientBatch, LaneLease):
            times = [f.name for f in table._meta.fields if isinstance(f, DateTimeField)]
            for name in times:
                rows = table._default_manager.filter(**{f"{name}__isnull": False})
                rows.update(**{name: F(name) - timedelta(seconds=seconds)})

    await sync_to_async(move)()


async def state_of(client: httpx.AsyncClient, request_id: str, **more: Any) -> dict[str, Any]:
    answer = await client.get(f"/v1/deferred/{request_id}", **more)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def held() -> Decimal:
    return sum([row.amount async for row in BudgetHold.objects.all()], Decimal(0))


async def rows() -> list[RequestRecord]:
    return [row async for row in RequestRecord.objects.order_by("created_at")]
