"""A worker that dies at any point loses no request and sends none twice; budgets stay exact.

Each point is before or after one step: a write to the database, or a call of a provider.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import httpx
import pytest
from asgiref.sync import sync_to_async

from analytics.models import BudgetUsage, DeferredRequest
from optimizer.gateway.deferred.context import LaneContext
from optimizer.gateway.recording.accounting import Accounting
from optimizer.wiring.build import get_services
from providers.batches.anthropic import AnthropicBatches
from providers.batches.gemini import GeminiBatches
from providers.batches.openai import OpenAIBatches
from tests.factories import BudgetFactory
from tests.fakes.server import Reply
from tests.optimizer.gateway.deferred.conftest import (
    MODELS,
    Fakes,
    ask_many,
    held,
    pass_time,
    rows,
    state_of,
    work,
)

APIS = {"openai": OpenAIBatches, "claude": AnthropicBatches, "gemini": GeminiBatches}
STEPS = (
    "batch_plan", "batch_note_file", "batch_note_intent", "batch_note_created",
    "batch_note_checked", "batch_close",
)  # fmt: skip
CALLS = ("upload", "create", "view", "clean_up")
POINTS = [
    *((when, step) for step in (*STEPS, *CALLS, "record_answer") for when in ("before", "after"))
]
ROUNDS = 8
Restart = Callable[[], Awaitable[httpx.AsyncClient]]


class Killed(BaseException):
    """The worker is gone."""


def kill_at(monkeypatch: pytest.MonkeyPatch, when: str, step: str, api: type) -> None:
    """Let the first use of ``step`` end the worker."""
    left = [1]

    def dies(moment: str, name: str) -> None:
        if left[0] and (moment, name) == (when, step):
            left[0] = 0
            raise Killed

    do = LaneContext.do

    async def do_or_die(self: Any, work_: Any, *args: Any, **named: Any) -> Any:
        dies("before", work_.__name__)
        result = await do(self, work_, *args, **named)
        dies("after", work_.__name__)
        return result

    monkeypatch.setattr(LaneContext, "do", do_or_die)
    for owner, name in (*((api, name) for name in CALLS), (Accounting, "record_answer")):

        def wrapped(method: Any, name: str) -> Any:
            async def call_or_die(self: Any, *args: Any, **named: Any) -> Any:
                dies("before", name)
                result = await method(self, *args, **named)
                dies("after", name)
                return result

            return call_or_die

        monkeypatch.setattr(owner, name, wrapped(getattr(owner, name), name))


async def go_on(fakes: Fakes, provider: str) -> None:
    """Let time pass and the lane work until all is done."""
    for _ in range(ROUNDS):
        fakes[provider][1].end()
        # Longer than a call to create a batch may take.
        await pass_time(800)
        await work()
        if not await DeferredRequest.objects.filter(state__in=DeferredRequest.OPEN).aexists():
            break


async def all_is_well(client: httpx.AsyncClient, ids: list[str]) -> None:
    for request_id in ids:
        assert (await state_of(client, request_id))["status"] == "done"
    recorded = await rows()
    assert sorted(str(row.id) for row in recorded) == sorted(ids)
    assert await held() == 0
    spent = sum([row.spent async for row in BudgetUsage.objects.all()], Decimal(0))
    assert spent == sum(row.cost for row in recorded if row.cost)


async def with_budget() -> None:
    await sync_to_async(BudgetFactory)(limit=Decimal(1))
    await sync_to_async(get_services().budgets.refresh)()


@pytest.mark.parametrize(
    ("provider", "when", "step"),
    [
        *(("openai", *point) for point in POINTS),
        # What the others do otherwise: how a batch is created and looked for.
        *((p, w, "create") for p in ("claude", "gemini") for w in ("before", "after")),
    ],
)
async def test_a_kill_loses_and_doubles_nothing(
    client: httpx.AsyncClient,
    batch_fakes: Fakes,
    monkeypatch: pytest.MonkeyPatch,
    restart: Restart,
    provider: str,
    when: str,
    step: str,
) -> None:
    await with_budget()
    ids = await ask_many(client, 2, MODELS[provider])
    await pass_time(301)
    with monkeypatch.context() as patched:
        kill_at(patched, when, step, APIS[provider])
        with pytest.raises(Killed):
            for _ in range(3):
                await work()
                batch_fakes[provider][1].end()
                await pass_time(61)
    client = await restart()
    await go_on(batch_fakes, provider)
    await all_is_well(client, ids)
    server, fake = batch_fakes[provider]
    assert len(fake.asked_lines) == 2, "each request was sent once"
    assert not [call for call in server.asked if call.path.endswith("/chat/completions")]


@pytest.mark.parametrize("provider", list(MODELS))
async def test_a_creation_in_doubt_is_looked_for_before_it_is_repeated(
    client: httpx.AsyncClient, batch_fakes: Fakes, provider: str
) -> None:
    """The provider creates the batch, and its answer is lost."""
    server, fake = batch_fakes[provider]
    ids = await ask_many(client, 2, MODELS[provider])
    await pass_time(301)
    wire = server.wire

    def lossy(asked: Any) -> Reply:
        reply = wire(asked)
        creates = asked.path.endswith(("/batches", ":batchGenerateContent"))
        return Reply({}, 502) if asked.method == "POST" and creates else reply

    server.wire = lossy
    await work()
    assert len(fake.batches) == 1
    for _ in range(3):
        await work()
        await pass_time(200)
    assert len(fake.batches) == 1
    await go_on(batch_fakes, provider)
    assert {(await state_of(client, one))["status"] for one in ids} == {"done"}
    assert len(fake.batches) == 1


async def test_another_batch_of_the_same_size_is_not_taken_for_the_own(
    client: httpx.AsyncClient, batch_fakes: Fakes
) -> None:
    """Anthropic's batches have no name: only their results say whose they are."""
    server, fake = batch_fakes["claude"]
    ids = await ask_many(client, 1, MODELS["claude"])
    await pass_time(301)
    params = {"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": "Hi"}]}
    async with httpx.AsyncClient(base_url=server.url) as other:
        headers = {"x-api-key": "dummy-key-for-tests", "anthropic-version": "2023-06-01"}
        body = {"requests": [{"custom_id": "theirs", "params": params}]}
        assert (await other.post("/v1/messages/batches", json=body, headers=headers)).is_success
    server.next(Reply({}, 502))
    await work()
    await pass_time(800)
    await work()
    assert len(fake.batches) == 1, "the other one may be the own until it has ended"
    await go_on(batch_fakes, "claude")
    assert len(fake.batches) == 2
    assert (await state_of(client, ids[0]))["status"] == "done"


async def test_a_worker_that_dies_within_a_call_of_its_own_is_followed_by_another(
    client: httpx.AsyncClient,
    batch_fakes: Fakes,
    monkeypatch: pytest.MonkeyPatch,
    restart: Restart,
) -> None:
    ids = await ask_many(client, 1)
    await DeferredRequest.objects.aupdate(direct=True)

    async def dies(*args: Any, **named: Any) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(Accounting, "record_answer", dies)
        patched.setattr(Accounting, "record_failure", dies)
        await work()
    assert (await state_of(client, ids[0]))["status"] == "calling"
    client = await restart()
    await work()
    assert (await state_of(client, ids[0]))["status"] == "calling", "it may still be in progress"
    await pass_time(800)
    await work(2)
    assert (await state_of(client, ids[0]))["status"] == "done"
