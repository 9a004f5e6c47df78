"""What batches and background responses cost is recorded once, when they have ended.

Batches cost half: https://platform.openai.com/docs/guides/batch,
https://docs.anthropic.com/en/docs/build-with-claude/batch-processing
"""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone

from analytics.budgets.workers import holds_mark_lost
from analytics.models import (
    Budget,
    BudgetHold,
    BudgetUsage,
    DailyTotal,
    ProviderObject,
    RequestRecord,
)
from optimizer.wiring.build import get_services
from providers.completion import Usage
from tests.factories import BudgetFactory
from tests.fakes.server import FakeProvider, Reply
from tests.optimizer.api.relayed.conftest import Answers, key_of
from tests.patience import on_a_thread

MODEL = "gpt-6-luna"
CLAUDE = "claude-haiku-4-5"
ANTHROPIC = {"anthropic-version": "2023-06-01"}
CREATED: dict[str, Any] = {
    "id": "batch_1", "object": "batch", "status": "validating", "input_file_id": "file-1",
}  # fmt: skip
ENDED = {**CREATED, "status": "completed", "output_file_id": "file-2", "error_file_id": "file-3"}
MESSAGES = {"id": "msgbatch_1", "type": "message_batch", "processing_status": "in_progress"}


def line(number: int, tokens_in: int, tokens_out: int, **changes: Any) -> bytes:
    body = {
        "model": f"{MODEL}-2026-01-01",
        "usage": {"prompt_tokens": tokens_in, "completion_tokens": tokens_out},
    }
    response = {"status_code": 200, "body": body, **changes}
    return json.dumps({"custom_id": str(number), "response": response}).encode() + b"\n"


def message(tokens_in: int, tokens_out: int, kind: str = "succeeded") -> bytes:
    usage = {"input_tokens": tokens_in, "output_tokens": tokens_out, "service_tier": "batch"}
    result = {"type": kind, "message": {"model": CLAUDE, "usage": usage}}
    return json.dumps({"custom_id": "x", "result": result}).encode() + b"\n"


def half(provider: str, model: str, tokens_in: int, tokens_out: int) -> Decimal:
    cost = get_services().prices.cost(provider, model, Usage(tokens_in, tokens_out))
    assert cost is not None
    return cost / 2


async def rows() -> list[RequestRecord]:
    return [row async for row in RequestRecord.objects.order_by("model")]


@pytest.fixture
def results(openai_answers: Answers) -> Answers:
    """A batch of three requests, one of which failed."""
    openai_answers["POST", "/batches"] = CREATED
    openai_answers["GET", "/batches/batch_1"] = ENDED
    lines = line(1, 1000, 200) + line(2, 0, 0, status_code=400) + line(3, 3000, 400)
    openai_answers["GET", "/files/file-2/content"] = Reply(
        lines, headers={"content-type": "application/octet-stream"}
    )
    return openai_answers


async def test_a_batch_is_recorded_at_its_price_when_it_is_seen_to_have_ended(
    client: httpx.AsyncClient, results: Answers
) -> None:
    red = await key_of("red")
    await ProviderObject.objects.acreate(
        provider="openai", kind="file", object_id="file-1", tenant="team:red"
    )
    body = {"input_file_id": "file-1"}
    assert (await client.post("/v1/batches", json=body, headers=red)).json() == CREATED
    assert await rows() == []
    for _ in range(2):
        assert (await client.get("/v1/batches/batch_1", headers=red)).json() == ENDED
    (row,) = await rows()
    assert (row.endpoint, row.status, row.provider, row.model) == ("batches", "ok", "openai", MODEL)
    assert (row.tokens_in, row.tokens_out, row.tenant) == (4000, 600, "team:red")
    assert row.cost == half("openai", MODEL, 4000, 600)
    assert (row.session_id, row.usage_estimated) == ("batch_1", False)
    total = await DailyTotal.objects.aget()
    assert (total.requests, total.cost) == (1, row.cost)
    # The results are this tenant's, too.
    assert (await client.get("/v1/files/file-2/content", headers=red)).status_code == 200


async def row_of_a_batch(
    client: httpx.AsyncClient, results: Answers, answer: dict[str, Any]
) -> RequestRecord:
    """The row of a batch of one request, once it is read with its ``answer``."""
    results["GET", "/files/file-2/content"] = Reply(
        line(1, 0, 0, body=answer), headers={"content-type": "application/octet-stream"}
    )
    red = await key_of("red")
    await ProviderObject.objects.acreate(
        provider="openai", kind="file", object_id="file-1", tenant="team:red"
    )
    await client.post("/v1/batches", json={"input_file_id": "file-1"}, headers=red)
    await client.get("/v1/batches/batch_1", headers=red)
    (row,) = await rows()
    return row


async def test_a_batch_costs_what_it_did_when_it_ended(
    client: httpx.AsyncClient, results: Answers
) -> None:
    # The model's price was five times as high until 30 July 2026.
    ended = datetime(2026, 7, 29, 12, tzinfo=UTC)
    answer = {
        "model": "gpt-5.6-luna",
        "usage": {"prompt_tokens": 1000, "completion_tokens": 200, "total_tokens": 1200},
    }
    results["GET", "/batches/batch_1"] = {**ENDED, "completed_at": int(ended.timestamp())}
    row = await row_of_a_batch(client, results, answer)
    # Half of USD 1 and 6 per million tokens.
    assert row.cost == Decimal("0.0011")


async def test_embeddings_of_a_batch_cost_their_total(
    client: httpx.AsyncClient, results: Answers
) -> None:
    answer = {"object": "list", "data": [], "model": "text-embedding-3-small",
              "usage": {"total_tokens": 8000}}  # fmt: skip
    row = await row_of_a_batch(client, results, answer)
    # Half of USD 0.02 per million tokens.
    assert (row.tokens_in, row.cost, row.price_basis) == (8000, Decimal("0.00008"), "table")


async def test_the_results_of_messages_are_recorded_by_model(
    client: httpx.AsyncClient, claude_answers: Answers
) -> None:
    place = "/v1/messages/batches"
    claude_answers["POST", place] = MESSAGES
    claude_answers["GET", f"{place}/msgbatch_1"] = {**MESSAGES, "processing_status": "ended"}
    claude_answers["GET", f"{place}/msgbatch_1/results"] = Reply(
        message(1000, 100) + message(9, 9, "errored") + message(1000, 300),
        headers={"content-type": "application/x-jsonl"},
    )
    params = {"model": CLAUDE, "max_tokens": 9, "messages": []}
    body = {"requests": [{"custom_id": "x", "params": params}]}
    assert (await client.post(place, json=body, headers=ANTHROPIC)).json() == MESSAGES
    answer = await client.get(f"{place}/msgbatch_1/results", headers=ANTHROPIC)
    assert len(answer.text.splitlines()) == 3
    (row,) = await rows()
    assert (row.model, row.tokens_in, row.tokens_out) == (CLAUDE, 2000, 400)
    assert row.cost == half("claude", CLAUDE, 2000, 400)


async def test_what_nobody_fetches_is_recorded_by_the_upkeep_once(
    client: httpx.AsyncClient, openai_fake: FakeProvider, results: Answers
) -> None:
    await client.post("/v1/batches", json={"input_file_id": "file-1"})
    upkeep = get_services().periodic_tasks
    await on_a_thread(upkeep.do, "Recording batches that have ended")
    assert await rows() == []  # it was made a moment ago
    await ProviderObject.objects.aupdate(checked_at=timezone.now() - timedelta(minutes=6))
    work = [on_a_thread(upkeep.do, "Recording batches that have ended") for _ in range(2)]
    await asyncio.gather(*work)
    (row,) = await rows()
    assert row.cost == half("openai", MODEL, 4000, 600)
    asked = len(openai_fake.asked)
    await on_a_thread(upkeep.do, "Recording batches that have ended")
    assert len(openai_fake.asked) == asked


async def test_two_workers_record_a_batch_once(client: httpx.AsyncClient, results: Answers) -> None:
    await client.post("/v1/batches", json={"input_file_id": "file-1"})
    kept = await ProviderObject.objects.aget(kind="batch")
    settlement = get_services().provider_objects.settlement
    await asyncio.gather(*(settlement._settle(kept, ENDED) for _ in range(3)))
    assert len(await rows()) == 1


async def test_what_is_not_reported_stays_unknown(
    client: httpx.AsyncClient, results: Answers
) -> None:
    results["GET", "/files/file-2/content"] = Reply(
        line(1, 1000, 200) + b"{broken\n" + line(2, 0, 0, body={"model": MODEL})
    )
    await client.post("/v1/batches", json={"input_file_id": "file-1"})
    await client.get("/v1/batches/batch_1")
    known, *unknown = sorted(await rows(), key=lambda row: row.cost is None)
    assert known.cost == half("openai", MODEL, 1000, 200)
    assert [(row.cost, row.usage_estimated) for row in unknown] == [(None, True)] * 2


async def test_a_batch_that_is_deleted_is_recorded_before(
    client: httpx.AsyncClient, claude_answers: Answers
) -> None:
    place = "/v1/messages/batches"
    claude_answers["POST", place] = MESSAGES
    claude_answers["GET", f"{place}/msgbatch_1"] = {**MESSAGES, "processing_status": "ended"}
    claude_answers["GET", f"{place}/msgbatch_1/results"] = Reply(message(10, 10))
    claude_answers["DELETE", f"{place}/msgbatch_1"] = {"id": "msgbatch_1"}
    await client.post(place, json={"requests": []}, headers=ANTHROPIC)
    assert (await client.delete(f"{place}/msgbatch_1", headers=ANTHROPIC)).status_code == 200
    assert len(await rows()) == 1
    assert await ProviderObject.objects.acount() == 0


async def test_a_batch_that_is_gone_has_an_unknown_cost(
    client: httpx.AsyncClient, results: Answers
) -> None:
    await client.post("/v1/batches", json={"input_file_id": "file-1"})
    del results["GET", "/batches/batch_1"]
    kept = await ProviderObject.objects.aget()
    await get_services().provider_objects.settlement.settle(kept)
    (row,) = await rows()
    assert (row.cost, row.usage_estimated) == (None, True)


async def test_an_exhausted_budget_refuses_a_batch(
    client: httpx.AsyncClient, openai_fake: FakeProvider, results: Answers
) -> None:
    budget = await sync_to_async(BudgetFactory)(limit=Decimal("0.001"))
    await sync_to_async(get_services().budgets.refresh)()
    results["GET", "/files/file-1/content"] = Reply(SHORT)
    body = {"input_file_id": "file-1"}
    assert (await client.post("/v1/batches", json=body)).status_code == 200
    await client.get("/v1/batches/batch_1")
    usage = await BudgetUsage.objects.aget(account__budget=budget)
    assert usage.spent == half("openai", MODEL, 4000, 600)
    await Budget.objects.aupdate(limit=usage.spent)
    asked = len(openai_fake.asked)
    refused = await client.post("/v1/batches", json=body)
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "budget_exceeded")
    assert len(openai_fake.asked) == asked


QUEUED: dict[str, Any] = {
    "id": "resp_bg", "object": "response", "status": "queued", "background": True, "output": [],
    "usage": None, "model": MODEL,
}  # fmt: skip
DONE = {
    **QUEUED, "status": "completed",
    "output": [{"type": "message", "content": [{"type": "output_text", "text": "Hi"}]}],
    "usage": {"input_tokens": 1000, "output_tokens": 200},
}  # fmt: skip


async def test_a_background_response_gets_its_cost_when_it_has_ended(
    client: httpx.AsyncClient, openai_answers: Answers
) -> None:
    openai_answers["POST", "/responses"] = QUEUED
    body = {"model": MODEL, "input": "Hi", "background": True}
    answer = await client.post("/v1/responses", json=body)
    assert answer.json() == QUEUED
    (row,) = await rows()
    assert (row.cost, row.tokens_in, row.usage_estimated) == (None, 0, True)
    assert (await DailyTotal.objects.aget()).unpriced == 1
    openai_answers["GET", "/responses/resp_bg"] = QUEUED
    await client.get("/v1/responses/resp_bg")
    openai_answers["GET", "/responses/resp_bg"] = DONE
    for _ in range(2):
        assert (await client.get("/v1/responses/resp_bg")).json() == DONE
    (row,) = await rows()
    cost = get_services().prices.cost("openai", MODEL, Usage(1000, 200))
    assert (row.cost, row.tokens_in, row.tokens_out) == (cost, 1000, 200)
    assert (row.finish_reason, row.usage_estimated) == ("stop", False)
    total = await DailyTotal.objects.aget()
    assert (total.requests, total.unpriced, total.cost) == (1, 0, cost)


async def test_a_background_response_that_failed_says_so(
    client: httpx.AsyncClient, openai_answers: Answers
) -> None:
    openai_answers["POST", "/responses"] = QUEUED
    await client.post("/v1/responses", json={"model": MODEL, "input": "Hi", "background": True})
    openai_answers["POST", "/responses/resp_bg/cancel"] = {**QUEUED, "status": "cancelled"}
    await client.post("/v1/responses/resp_bg/cancel")
    (row,) = await rows()
    assert (row.status, row.error_code, row.cost) == ("partial", "cancelled", None)


def asked(number: int, url: str = "/v1/chat/completions", **body: Any) -> bytes:
    """A line of an input file."""
    line = {
        "custom_id": str(number),
        "method": "POST",
        "url": url,
        "body": {"model": MODEL, **body},
    }
    return json.dumps(line).encode() + b"\n"


SHORT = asked(1, max_tokens=200, messages=[{"role": "user", "content": "Hi"}])


async def held() -> Decimal:
    return sum([row.amount async for row in BudgetHold.objects.all()], Decimal(0))


async def budget_of(limit: str) -> Budget:
    budget = await sync_to_async(BudgetFactory)(limit=Decimal(limit))
    await sync_to_async(get_services().budgets.refresh)()
    return budget


async def test_what_a_batch_may_cost_is_held_until_its_cost_is_recorded(
    client: httpx.AsyncClient, results: Answers
) -> None:
    budget = await budget_of("1")
    results["GET", "/files/file-1/content"] = Reply(SHORT * 3)
    assert (await client.post("/v1/batches", json={"input_file_id": "file-1"})).status_code == 200
    output = half("openai", MODEL, 0, 200)
    assert 3 * output < await held() < 3 * (output + half("openai", MODEL, 500, 0))
    # It outlives the worker that created it.
    long_ago = timezone.now() - timedelta(hours=20)
    await BudgetHold.objects.aupdate(made_at=long_ago)
    assert await sync_to_async(holds_mark_lost)() == 0
    await client.get("/v1/batches/batch_1")
    assert await held() == 0
    usage = await BudgetUsage.objects.aget(account__budget=budget)
    assert usage.spent == half("openai", MODEL, 4000, 600)


async def test_a_batch_that_may_cost_more_than_is_left_is_not_created(
    client: httpx.AsyncClient, openai_fake: FakeProvider, results: Answers
) -> None:
    await budget_of("0.001")
    # The client sets no limit, so the output may be as long as any.
    results["GET", "/files/file-1/content"] = Reply(asked(1, messages=[]))
    refused = await client.post("/v1/batches", json={"input_file_id": "file-1"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "budget_exceeded")
    assert not [call for call in openai_fake.asked if call.method == "POST"]
    assert await held() == 0


async def test_messages_of_a_batch_are_held_by_their_limits(
    client: httpx.AsyncClient, claude_answers: Answers
) -> None:
    await budget_of("1")
    claude_answers["POST", "/v1/messages/batches"] = MESSAGES
    params = {"model": CLAUDE, "max_tokens": 1000, "messages": [{"role": "user", "content": "Hi"}]}
    body = {"requests": [{"custom_id": str(n), "params": params} for n in range(20)]}
    await client.post("/v1/messages/batches", json=body, headers=ANTHROPIC)
    output = half("claude", CLAUDE, 0, 20_000)
    assert output < await held() < output * Decimal("1.2")


async def test_a_batch_that_the_provider_refuses_holds_nothing(
    client: httpx.AsyncClient, results: Answers
) -> None:
    await budget_of("1")
    results["GET", "/files/file-1/content"] = Reply(SHORT)
    results["POST", "/batches"] = Reply({"error": {"message": "No", "type": "x"}}, 400)
    assert (await client.post("/v1/batches", json={"input_file_id": "file-1"})).status_code == 400
    assert await held() == 0


async def test_a_batch_whose_file_cannot_be_read_is_refused_under_a_budget(
    client: httpx.AsyncClient, results: Answers
) -> None:
    await budget_of("1")
    assert (await client.post("/v1/batches", json={"input_file_id": "file-1"})).status_code == 403


async def test_embeddings_in_a_batch_hold_their_input_alone(
    client: httpx.AsyncClient, results: Answers
) -> None:
    await budget_of("1")
    line = asked(1, "/v1/embeddings", model="text-embedding-3-small", input="Hi")
    results["GET", "/files/file-1/content"] = Reply(line)
    body = {"input_file_id": "file-1", "endpoint": "/v1/embeddings"}
    await client.post("/v1/batches", json=body)
    most = half("openai", "text-embedding-3-small", 500, 0)
    assert 0 < await held() < most
