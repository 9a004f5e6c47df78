"""Holds as a machine: whoever leaves at whatever moment, all is settled once all is quiet."""

from __future__ import annotations

import asyncio
import itertools
import uuid
from collections.abc import Coroutine
from typing import Any
from unittest import mock

import httpx
import pytest
from asgiref.sync import sync_to_async
from django.db import OperationalError
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    rule,
    run_state_machine_as_test,
)

from analytics.ledger import ledger as ledger_module
from analytics.models import BudgetHold, RequestRecord
from optimizer.gateway.recording.unfinished import UnfinishedCalls
from optimizer.wiring.build import get_services
from providers.pricing import PriceBook
from providers.resilience import ResilientCaller
from tests.conftest import Start
from tests.fakes.server import FakeProvider, Reply
from tests.fakes.wires import anthropic_wire
from tests.optimizer.budgets.test_reservations import limit
from tests.patience import eventually, on_a_thread

NUMBERS = itertools.count()
PATHS = {
    "/complete": {"max_tokens": 50},
    "/v1/messages": {"model": "claude-haiku-5-5", "max_tokens": 50},
    "/v1/chat/completions": {"model": "claude-haiku-5-5", "max_tokens": 50},
    "/v1/responses": {"model": "claude-haiku-5-5", "max_output_tokens": 50},
    "/v1/embeddings": {"model": "text-embedding-3-small"},
}
STREAMS = ("/v1/messages", "/v1/chat/completions", "/v1/responses")


def body_of(path: str, question: str, *, stream: bool) -> dict[str, Any]:
    body: dict[str, Any] = {**PATHS[path]}
    if path == "/complete":
        body["prompt"] = question
    elif path in ("/v1/responses", "/v1/embeddings"):
        body["input"] = question
    else:
        body["messages"] = [{"role": "user", "content": question}]
    return {**body, "stream": True} if stream else body


class HoldMachine(RuleBasedStateMachine):
    """Requests that begin, go on for some steps of the loop, and are left."""

    client: httpx.AsyncClient
    fakes: dict[str, FakeProvider]
    loop: asyncio.AbstractEventLoop

    def __init__(self) -> None:
        super().__init__()
        self.tasks: list[asyncio.Task[Any]] = []
        self.before = self._calls()
        self.away: Any = None

    def _calls(self) -> int:
        return sum(len(fake.asked) for fake in self.fakes.values())

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(60)

    @rule(path=st.sampled_from(sorted(PATHS)), stream=st.booleans(), same=st.booleans())
    def begin(self, path: str, stream: bool, same: bool) -> None:
        number = "the same" if same else next(NUMBERS)
        body = body_of(path, f"What is {number}?", stream=stream and path in STREAMS)

        async def send() -> None:
            self.tasks.append(asyncio.create_task(self.client.post(path, json=body)))

        self._run(send())

    @rule(steps=st.integers(0, 60))
    def go_on(self, steps: int) -> None:
        async def wait() -> None:
            for _ in range(steps):
                await asyncio.sleep(0)

        self._run(wait())

    @rule(which=st.integers(0, 9))
    def leave(self, which: int) -> None:
        if self.tasks:
            task = self.tasks[which % len(self.tasks)]
            self.loop.call_soon_threadsafe(task.cancel)

    @rule()
    def database_goes_away(self) -> None:
        if self.away is None:
            error = OperationalError("away")
            self.away = mock.patch.object(ledger_module, "hold", side_effect=error)
            self.away.start()

    @rule()
    def database_comes_back(self) -> None:
        if self.away is not None:
            self.away.stop()
            self.away = None
        get_services().ledger.database.reset()

    @rule(error=st.sampled_from([RuntimeError, asyncio.CancelledError]))
    def an_error_happens(self, error: type[BaseException]) -> None:
        left, real = [error()], PriceBook.cost

        def cost(*args: Any, **fields: Any) -> Any:
            if left:
                raise left.pop()
            return real(*args, **fields)

        with mock.patch.object(PriceBook, "cost", cost):
            self.begin("/v1/messages", stream=False, same=False)
            self.go_on(60)

    def teardown(self) -> None:
        self.database_comes_back()
        self._run(self._all_is_settled())

    async def _all_is_settled(self) -> None:
        await asyncio.gather(*self.tasks, return_exceptions=True)
        services = get_services()
        await services.routing.drain()
        await services.embedding.drain()
        services.ledger.database.reset()
        await services.ledger.catch_up()
        await services.ledger.release(uuid.uuid4())  # behind what is queued
        assert not [held async for held in BudgetHold.objects.values_list("request_id", "model")]
        rows = [row async for row in RequestRecord.objects.all()]
        recorded = sum(
            len(row.attempts) + (row.status != "error") for row in rows if not row.cache_hit
        )
        assert recorded >= self._calls() - self.before
        await RequestRecord.objects.all().adelete()


async def test_whoever_leaves_nothing_stays_held_and_every_call_is_recorded(
    transactional_db: None, fakes: dict[str, FakeProvider], start: Start, settings: Any
) -> None:
    settings.PROVIDER_RETRIES, settings.BREAKER_FAILURES = 0, 10_000
    settings.RESPONSE_CACHE = False
    client = await start()
    await limit("1000")

    class Machine(HoldMachine):
        pass

    Machine.client, Machine.fakes, Machine.loop = client, fakes, asyncio.get_running_loop()
    few = hypothesis_settings(max_examples=12, stateful_step_count=12, deadline=None, database=None)
    await on_a_thread(run_state_machine_as_test, Machine, settings=few)


@pytest.mark.parametrize("called", [False, True])
async def test_what_nobody_owns_is_settled_within_two_looks(
    client: httpx.AsyncClient,
    fakes: dict[str, FakeProvider],
    monkeypatch: pytest.MonkeyPatch,
    called: bool,
) -> None:
    await limit("1")
    services = get_services()

    async def forget(*_: Any) -> None:
        """Settle nothing, as if a way out had been missed."""

    monkeypatch.setattr(UnfinishedCalls, "_settle", forget)
    if called:
        fakes["claude"].always(Reply({"error": {"message": "no"}}, status=500))
        for name in fakes:
            fakes[name].always(Reply({"error": {"message": "no"}}, status=500))
    else:
        monkeypatch.setattr(ResilientCaller, "call", mock.AsyncMock(side_effect=RuntimeError))
    await client.post("/complete", json={"prompt": "What is it?", "max_tokens": 50})
    assert await BudgetHold.objects.aexists()
    look = sync_to_async(services.watchdog.look)
    assert (await look(), await look()) == (0, 1)
    await services.ledger.release(uuid.uuid4())  # behind what is queued
    assert not await BudgetHold.objects.aexists()
    rows = [row async for row in RequestRecord.objects.all()]
    assert len(rows) == called
    assert all(row.usage_estimated and row.cost for row in rows)


async def test_a_request_in_progress_is_left_alone(
    client: httpx.AsyncClient, fakes: dict[str, FakeProvider]
) -> None:
    await limit("1")
    fakes["claude"].wire = anthropic_wire
    fakes["claude"].gate = asyncio.Event()
    body = body_of("/v1/messages", "What is it?", stream=True)
    waiting = asyncio.create_task(client.post("/v1/messages", json=body))
    await eventually(lambda: fakes["claude"].asked)
    look = sync_to_async(get_services().watchdog.look)
    assert [await look() for _ in range(3)] == [0, 0, 0]
    fakes["claude"].gate.set()
    assert (await waiting).status_code == 200
    assert not await BudgetHold.objects.aexists()
