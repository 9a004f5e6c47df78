"""Whatever is raised: nothing stays held, each call has one record, the client gets an error."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from django.db import OperationalError
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from analytics.ledger.ledger import Ledger, LedgerUnavailable
from analytics.models import BudgetHold, RequestRecord
from optimizer.api.compat import chat_endpoint
from optimizer.api.v1 import complete
from optimizer.budgets.reservation import Reservation
from optimizer.gateway.cache.lookup import AnswerCache
from optimizer.gateway.recording.ledger_entries import LedgerEntryBuilder
from optimizer.wiring.build import get_services
from providers.anthropic.client import AnthropicProvider
from providers.assembly import CompletionBuilder
from providers.errors import MalformedResponse
from providers.http.wire import WireClient
from providers.pricing import PriceBook
from routing.engine import RoutingEngine
from tests.conftest import Start
from tests.fakes.server import FakeProvider
from tests.optimizer.budgets.test_reservations import limit

ERRORS: list[Callable[[], BaseException]] = [
    RuntimeError,
    KeyError,
    AttributeError,
    RecursionError,
    MemoryError,
    TimeoutError,
    asyncio.CancelledError,
    OperationalError,
    lambda: UnicodeDecodeError("utf-8", b"\xff", 0, 1, "no"),
    lambda: LedgerUnavailable("no"),
    lambda: MalformedResponse("claude", "sent something else"),
]
STEPS: dict[str, list[tuple[Any, str]]] = {
    "cache": [(AnswerCache, "find")],
    "selecting": [(RoutingEngine, "route")],
    "holding": [(Ledger, "hold")],
    "authorizing": [(Reservation, "authorize")],
    "calling": [(WireClient, "complete"), (WireClient, "stream")],
    "reading": [(AnthropicProvider, "_parse"), (CompletionBuilder, "add")],
    "pricing": [(PriceBook, "cost")],
    "building the row": [(LedgerEntryBuilder, "for_answer")],
    "recording": [(Ledger, "record")],
    "remembering": [(AnswerCache, "remember")],
    "encoding": [
        (chat_endpoint, "headers_of_result"),
        (chat_endpoint, "headers_of_stream"),
        (complete, "completion_body"),
    ],
}
WAYS = [
    ("/complete", {"prompt": "Q", "max_tokens": 50}),
    *(
        (path, {"model": "claude-haiku-5-5", "max_tokens": 50, "stream": streamed,
                "messages": [{"role": "user", "content": "Q"}]})
        for path in ("/v1/messages", "/v1/chat/completions")
        for streamed in (False, True)
    ),
]  # fmt: skip


def raising_once(monkeypatch: pytest.MonkeyPatch, step: str, error: BaseException) -> None:
    """The first call of the step raises ``error``."""
    left = [error]
    for owner, name in STEPS[step]:
        real = getattr(owner, name)

        def call(*args: Any, _real: Any = real, **fields: Any) -> Any:
            if left:
                raise left.pop()
            return _real(*args, **fields)

        monkeypatch.setattr(owner, name, call)


async def test_nothing_stays_held_and_each_call_is_recorded_once(
    transactional_db: None, fakes: dict[str, FakeProvider], start: Start, settings: Any
) -> None:
    settings.PROVIDER_RETRIES, settings.BREAKER_FAILURES = 0, 10_000
    client = await start()
    await limit("1000")
    loop = asyncio.get_running_loop()
    numbers = itertools.count()

    @hypothesis_settings(max_examples=80, database=None)
    @given(st.sampled_from(sorted(STEPS)), st.sampled_from(ERRORS), st.sampled_from(WAYS))
    def check(step: str, make: Callable[[], BaseException], way: tuple[str, Any]) -> None:
        if step == "encoding" and make is asyncio.CancelledError:
            return  # what the server's own task raises ends that task
        with pytest.MonkeyPatch.context() as patched:
            raising_once(patched, step, make())
            case = one(client, fakes, way, next(numbers))
            asyncio.run_coroutine_threadsafe(case, loop).result(30)

    await asyncio.to_thread(check)


async def one(
    client: httpx.AsyncClient, fakes: dict[str, FakeProvider], way: tuple[str, Any], number: int
) -> None:
    path, body = way
    question = f"What is {number}?"
    body = {**body, "prompt": question} if "prompt" in body else {
        **body, "messages": [{"role": "user", "content": question}]
    }  # fmt: skip
    before = sum(len(fake.asked) for fake in fakes.values())
    answer = await client.post(path, json=body)
    services = get_services()
    await services.routing.drain()
    # The tests' database may be locked for a moment: then the journal has the record.
    services.ledger.database.reset()
    await services.ledger.catch_up()
    calls = sum(len(fake.asked) for fake in fakes.values()) - before
    request_id = answer.headers["x-request-id"]
    assert not await BudgetHold.objects.filter(request_id=request_id).aexists()
    rows = [row async for row in RequestRecord.objects.filter(pk=request_id)]
    answered = [row for row in rows if row.status == "ok"]
    if calls:
        (row,) = rows
        assert len(row.attempts) + (row.status != "error") >= calls
    if not answered:
        assert answer.status_code >= 400 or "error" in answer.text


async def test_a_paid_call_keeps_its_price_until_it_can_be_recorded(
    transactional_db: None, fakes: dict[str, FakeProvider], start: Start,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    client = await start()
    await limit("1000")
    usual = await client.post("/complete", json={"prompt": "What is usual?"})
    errors = iter([LedgerUnavailable("no"), LedgerUnavailable("no")])
    record = Ledger.record

    async def unavailable_twice(ledger: Ledger, entry: Any) -> Any:
        for error in errors:
            raise error
        return await record(ledger, entry)

    monkeypatch.setattr(Ledger, "record", unavailable_twice)
    answer = await client.post("/complete", json={"prompt": "What is paid?"})
    assert answer.status_code == 503
    await get_services().routing.drain()
    row = await RequestRecord.objects.aget(pk=answer.headers["x-request-id"])
    assert (row.status, float(row.cost)) == ("error", usual.json()["cost"])
    assert not await BudgetHold.objects.aexists()
