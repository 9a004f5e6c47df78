"""Every refusal at an endpoint that answers prompts leaves a row: its reason, at $0."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import StringIO
from typing import Any

import httpx
import pytest
from asgiref.sync import sync_to_async
from django.core.management import call_command
from prometheus_client.parser import text_string_to_metric_families

import analytics.ledger.ledger as ledger_module
from analytics.access.keys import key_make
from analytics.budgets.opening import budget_open
from analytics.ledger.daily_totals import minute_sums, sums_since
from analytics.ledger.refusals import refusals_since
from analytics.ledger.retention import prune
from analytics.ledger.rollups import totals_differ, totals_update
from analytics.models import (
    ApiKey,
    Budget,
    BudgetUsage,
    DailyTotal,
    HourlyRollup,
    RefusalTotal,
    RequestRecord,
)
from analytics.reports.usage import usage_stats
from optimizer.api.http.refusals import answering_endpoint
from optimizer.wiring.build import get_services
from tests.conftest import Start, logged_in
from tests.fakes.server import FakeProvider
from tests.fakes.wires import openai_error

CHAT = {"model": "claude-haiku-4-5", "max_tokens": 50,
        "messages": [{"role": "user", "content": "What is Paris?"}]}  # fmt: skip
JSON = {"content-type": "application/json"}
REFUSED = RequestRecord.Status.REFUSED
SECRET_WORDS = "the colour of my grandmother's door"


async def refusals() -> list[RequestRecord]:
    """The refusals, once all that were noted are written."""
    services = get_services()
    await services.refusals.drain()
    return [row async for row in RequestRecord.objects.filter(status=REFUSED).order_by("id")]


async def the_refusal(answer: httpx.Response) -> RequestRecord:
    (row,) = await refusals()
    assert str(row.pk) == answer.headers["x-request-id"]
    assert row.http_status == answer.status_code
    assert row.cost == 0
    assert row.error_detail
    assert not row.prompt
    assert (row.provider, row.model, row.tier) == ("", "", "")
    return row


@pytest.mark.parametrize(
    ("path", "body", "endpoint", "status", "code"),
    [
        ("/complete", {"prompt": ""}, "complete", 400, "invalid_request"),
        ("/api/v1/complete", {"prompt": 5}, "complete", 400, "invalid_request"),
        ("/complete", "{", "complete", 400, "invalid_json"),
        ("/v1/chat/completions", "{", "chat/completions", 400, "invalid_json"),
        ("/v1/chat/completions", {"model": "auto"}, "chat/completions", 400, None),
        ("/v1/chat/completions", {**CHAT, "model": "nope"}, "chat/completions", 404,
         "model_not_found"),
        ("/v1/responses", {"model": "nope", "input": "x"}, "responses", 404, "model_not_found"),
        ("/v1/messages", {**CHAT, "model": "nope"}, "messages", 404, "model_not_found"),
        ("/v1/messages", {**CHAT, "max_tokens": "many"}, "messages", 400, None),
        ("/v1/embeddings", {"model": "nope", "input": "x"}, "embeddings", 404, "model_not_found"),
        ("/v1/chat/completions", {**CHAT, "optimizer": {"max_cost": 0.0000001}},
         "chat/completions", 400, "unsupported_feature"),
    ],
)  # fmt: skip
async def test_what_is_wrong_with_a_request_is_recorded(
    client: httpx.AsyncClient, path: str, body: Any, endpoint: str, status: int, code: str | None
) -> None:
    content = body if isinstance(body, str) else json.dumps(body)
    answer = await client.post(path, content=content, headers=JSON)
    assert answer.status_code == status, answer.text
    row = await the_refusal(answer)
    assert row.endpoint == endpoint
    assert code is None or row.error_code == code
    assert row.error_code
    sent = body if isinstance(body, dict) else {}
    assert row.requested_model == sent.get("model", "")
    total = await RefusalTotal.objects.aget()
    assert (total.endpoint, total.http_status, total.count) == (endpoint, status, 1)
    assert (total.reason, total.unrecorded) == (row.error_code, 0)


async def test_a_stream_that_is_refused_is_recorded_as_one(client: httpx.AsyncClient) -> None:
    body = {**CHAT, "model": "nope", "stream": True, "user": "ann"}
    row = await the_refusal(await client.post("/v1/chat/completions", json=body))
    assert (row.streamed, row.user_id) == (True, "ann")


@pytest.mark.parametrize(
    ("method", "content", "headers", "status"),
    [
        ("POST", b"prompt=x", {"content-type": "application/x-www-form-urlencoded"}, 415),
        ("POST", b"", JSON, 400),
        ("PUT", b"{}", JSON, 405),
    ],
)
async def test_what_django_refuses_is_recorded_too(
    client: httpx.AsyncClient, method: str, content: bytes, headers: dict[str, str], status: int
) -> None:
    for path in ("/complete", "/v1/chat/completions", "/v1/messages"):
        answer = await client.request(method, path, content=content, headers=headers)
        assert answer.status_code == status, answer.text
    rows = await refusals()
    assert [row.http_status for row in rows] == [status] * 3


async def test_a_body_that_is_too_large(
    transactional_db: None, fakes: dict[str, FakeProvider], start: Start
) -> None:
    from optimizer.asgi import application

    client = await start()
    limit = application._limit
    application._limit = 1000
    try:
        answer = await client.post("/v1/messages", json={**CHAT, "system": "x" * 2000})
    finally:
        application._limit = limit
    assert answer.status_code == 413
    row = await the_refusal(answer)
    assert row.error_code == "request_too_large"


async def test_who_was_refused_is_kept_and_a_key_never(
    transactional_db: None, fakes: dict[str, FakeProvider], start: Start
) -> None:
    key = ApiKey(name="one", user="ann", requests_per_minute=1, addresses=[])
    made = await sync_to_async(key_make)(key)
    client = await start()
    wrong = await client.post("/complete", json={"prompt": "x"}, headers={"x-api-key": "aco_wrong"})
    assert wrong.status_code == 401
    row = await the_refusal(wrong)
    assert (row.error_code, row.api_key, row.user_id) == ("invalid_api_key", "", "")
    await RequestRecord.objects.all().adelete()
    own = {"authorization": f"Bearer {made.secret}"}
    assert (await client.post("/complete", json={"prompt": "x"}, headers=own)).status_code == 200
    limited = await client.post("/complete", json={"prompt": "x"}, headers=own)
    assert limited.status_code == 429
    row = await the_refusal(limited)
    assert row.error_code == "rate_limit_exceeded"
    answered = await RequestRecord.objects.admitted().aget()
    assert (row.api_key, row.user_id, row.tenant) == (key.prefix, "ann", answered.tenant)


async def test_a_key_without_the_scope_is_known(
    transactional_db: None, fakes: dict[str, FakeProvider], start: Start
) -> None:
    key = ApiKey(name="one", scopes=["read"])
    made = await sync_to_async(key_make)(key)
    client = await start()
    own = {"authorization": f"Bearer {made.secret}"}
    row = await the_refusal(await client.post("/v1/messages", json=CHAT, headers=own))
    assert (row.error_code, row.api_key) == ("permission_denied", key.prefix)


async def test_a_budget_that_refuses(
    transactional_db: None, fakes: dict[str, FakeProvider], start: Start
) -> None:
    budget = Budget(name="all", period="month", limit=Decimal("0.0000000001"))
    await sync_to_async(budget_open)(budget)
    client = await start()
    answer = await client.post("/v1/messages", json=CHAT)
    assert answer.status_code == 429
    row = await the_refusal(answer)
    assert row.error_code == "budget_exceeded"
    assert not await BudgetUsage.objects.filter(requests__gt=0).aexists()


async def test_a_failure_of_providers_is_no_refusal_and_has_one_row(
    client: httpx.AsyncClient, fakes: dict[str, FakeProvider]
) -> None:
    fakes["openrouter"].always(openai_error(400, "bad"))
    body = {**CHAT, "model": "openrouter/z-ai/glm-5.3-flash"}
    answer = await client.post("/v1/chat/completions", json=body)
    assert answer.status_code == 400
    assert await refusals() == []
    row = await RequestRecord.objects.aget()
    assert (row.status, str(row.pk)) == ("error", answer.headers["x-request-id"])


async def test_a_request_that_has_a_row_gets_no_second_one(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/messages", json=CHAT)
    row = await RequestRecord.objects.aget()
    copy = RequestRecord(
        id=row.pk, status=REFUSED, http_status=400, error_code="x", complexity=0, cost=Decimal(0)
    )
    await get_services().ledger.record(ledger_module.LedgerEntry(copy))
    assert answer.status_code == 200
    assert (await RequestRecord.objects.aget()).status == "ok"
    assert not await RefusalTotal.objects.aexists()


@pytest.mark.parametrize("policy", ["hash", "none"])
async def test_a_reason_does_not_quote_what_was_sent_unless_prompts_are_stored(
    transactional_db: None, fakes: dict[str, FakeProvider], settings: Any, start: Start,
    policy: str,
) -> None:  # fmt: skip
    settings.STORE_PROMPTS = policy
    client = await start()
    for path in ("/complete", "/v1/chat/completions", "/v1/messages", "/v1/responses"):
        for body in (
            {SECRET_WORDS: 1}, {"model": "auto", "input": 5, "prompt": [SECRET_WORDS]},
            {**CHAT, "tool_choice": SECRET_WORDS, "tools": SECRET_WORDS},
            {**CHAT, "messages": [{"role": SECRET_WORDS, "content": SECRET_WORDS}]},
        ):  # fmt: skip
            await client.post(path, json=body)
    rows = await refusals()
    assert len(rows) >= 12
    assert not [row for row in rows if "grandmother" in repr(row.__dict__)]


async def test_a_reason_is_short_and_has_no_key(client: httpx.AsyncClient) -> None:
    key = "sk-ant-api03-" + "A1b2" * 10
    await client.post("/v1/messages", json={**CHAT, "model": key})
    await client.post("/v1/messages", json={**CHAT, "model": "x" * 5000, "user": "\0x"})
    for row in await refusals():
        assert "A1b2" not in row.error_detail + row.requested_model + row.user_id
        assert len(row.error_detail) <= 500
        assert len(row.requested_model) <= 200


async def test_too_many_refusals_are_counted_and_not_recorded(
    transactional_db: None, fakes: dict[str, FakeProvider], settings: Any, start: Start
) -> None:
    settings.REFUSALS_PER_MINUTE, settings.REFUSALS_PER_CLIENT = 5, 3
    client = await start()
    for _ in range(10):
        await client.post("/v1/messages", json={**CHAT, "model": "nope"})
    assert len(await refusals()) == 3
    services = get_services()
    await sync_to_async(services.refusals.write_counts)()
    total = await RefusalTotal.objects.aget()
    assert (total.count, total.unrecorded) == (10, 7)
    found = {
        (sample.labels["reason"], sample.labels["recorded"]): sample.value
        for family in text_string_to_metric_families(services.meter.exposition().decode())
        for sample in family.samples
        if sample.name == "optimizer_refusals_total"
    }
    assert found == {("model_not_found", "true"): 3, ("model_not_found", "false"): 7}


async def test_a_refusal_that_cannot_be_recorded_is_still_told(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("as told")

    monkeypatch.setattr(ledger_module, "write_entries", broken)
    answer = await client.post("/v1/messages", json={**CHAT, "model": "nope"})
    assert answer.status_code == 404
    assert await refusals() == []
    monkeypatch.undo()
    await sync_to_async(get_services().refusals.write_counts)()
    total = await RefusalTotal.objects.aget()
    assert (total.count, total.unrecorded) == (1, 1)


async def test_other_paths_leave_no_row(client: httpx.AsyncClient) -> None:
    for path in ("/v1/messages/count_tokens", "/feedback", "/nowhere", "/v1/nowhere"):
        assert (await client.post(path, json={})).status_code in (400, 404, 405)
    assert await refusals() == []


def test_geminis_paths_are_known_before_they_are_served() -> None:
    stream = "/v1beta/models/gemini-3.8-flash:streamGenerateContent"
    assert answering_endpoint(stream) == ("generateContent", "gemini-3.8-flash")
    assert answering_endpoint("/v1/models/m:embedContent") == ("embedContent", "m")
    assert answering_endpoint("/v1beta/models/m:countTokens") is None
    assert answering_endpoint("/v1beta/models/m") is None


async def test_no_figure_counts_refusals(client: httpx.AsyncClient) -> None:
    await client.post("/v1/messages", json=CHAT)
    await client.post("/v1/messages", json={**CHAT, "model": "nope"})
    assert len(await refusals()) == 1

    def figures() -> None:
        now = datetime.now(UTC)
        stats = usage_stats()
        assert stats["overall"]["total_requests"] == 1
        assert stats["overall"]["failed_requests"] == 0
        assert len(stats["recent_requests"]) == 1
        assert sums_since(now.date())["total_requests"] == 1
        assert sum(row["requests"] for row in minute_sums(now - timedelta(hours=1)).values()) == 1
        assert DailyTotal.objects.get().errors == 0
        for _ in totals_update(now + timedelta(hours=2)):
            pass
        assert {total.requests for total in HourlyRollup.objects.filter(dimension="strategy")} == {
            1
        }
        assert list(totals_differ()) == []

    await sync_to_async(figures)()
    metrics = (await client.get("/routing/metrics")).json()
    assert sum(row["count"] for row in metrics["by_strategy"]) == 1


async def test_retention_deletes_refusals_and_keeps_their_totals(client: httpx.AsyncClient) -> None:
    await client.post("/v1/messages", json={**CHAT, "model": "nope"})
    (row,) = await refusals()

    def prune_all() -> None:
        RequestRecord.objects.filter(pk=row.pk).update(created_at="2026-01-01T00:00:00Z")
        list(prune(before=datetime(2026, 2, 1, tzinfo=UTC)))
        assert not RequestRecord.objects.exists()
        assert refusals_since(datetime.now(UTC))["requests"] == 1

    await sync_to_async(prune_all)()


async def test_the_admin_lists_them_with_a_filter_and_the_reason(
    client: httpx.AsyncClient,
) -> None:
    await client.post("/v1/messages", json={**CHAT, "model": "nope"})
    (row,) = await refusals()
    browser = await logged_in("viewer")
    page = await browser.get("/admin/analytics/requestrecord/?status__exact=refused")
    assert "refused: model_not_found (404)" in page.content.decode()
    page = await browser.get(f"/admin/analytics/requestrecord/{row.pk}/change/")
    assert "does not exist here" in page.content.decode()


async def test_the_report_says_how_many_and_why(client: httpx.AsyncClient) -> None:
    await client.post("/v1/messages", json={**CHAT, "model": "nope"})
    assert await refusals()
    assert "Refused: 1: model_not_found 1" in await report("table")
    await client.post("/v1/messages", json=CHAT)
    assert "1: model_not_found 1" in await report("table")
    assert "model_not_found" in await report("markdown")
    assert "model_not_found" in await report("html")
    assert "refusals,model_not_found/404,requests,1" in await report("csv")
    found = json.loads(await report("json"))
    assert found["totals"]["requests"] == 1
    assert found["refusals"] == {
        "requests": 1,
        "unrecorded": 0,
        "by_reason": [{"reason": "model_not_found", "http_status": 404, "requests": 1}],
    }


async def report(kind: str) -> str:
    out = StringIO()
    await sync_to_async(call_command)("routing_report", format=kind, stdout=out)
    return out.getvalue()
