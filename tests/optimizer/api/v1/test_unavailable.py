"""When things are down: providers, the database, routing itself."""

from __future__ import annotations

import logging
from decimal import Decimal

import httpx
import pytest
from django.db import OperationalError

from analytics.ledger import ledger as ledger_module
from analytics.models import RequestRecord, RoutingMetric
from optimizer.wiring.build import get_services
from tests.fakes.server import FakeProvider, Reply
from tests.fakes.wires import KEY
from tests.patience import eventually

PROMPT = {"prompt": "What is the capital of France?"}
SECRET_PROMPT = "my secret word is xyzzy-plugh"


async def test_every_provider_down_is_503_recorded_and_free(
    client: httpx.AsyncClient, fakes: dict[str, FakeProvider]
) -> None:
    for fake in fakes.values():
        fake.always(Reply({"error": {"message": KEY}}, 401))
    response = await client.post("/complete", json=PROMPT)
    body = response.json()
    assert response.status_code == body["status_code"] == 503
    assert body["detail"].startswith("Routing unavailable")
    assert {f["provider"] for f in body["failures"]} == set(fakes)
    assert all("refused the API key" in f["message"] for f in body["failures"])
    assert KEY not in response.text
    record = await RequestRecord.objects.aget(pk=body["request_id"])
    assert record.status == RequestRecord.Status.ERROR
    assert record.cost == 0
    assert record.error_code == "authentication_failed"
    assert "claude/" in record.error_detail


async def test_a_deadline_is_504(transactional_db: None, fakes, start, settings) -> None:
    settings.REQUEST_DEADLINE = 0.2
    client = await start()
    for fake in fakes.values():
        fake.always(Reply({}, delay=1.0))
    response = await client.post("/complete", json=PROMPT)
    assert response.status_code == response.json()["status_code"] == 504
    assert (await RequestRecord.objects.aget()).error_code == "timeout"


async def test_what_timed_out_is_booked_as_failed_cost_and_not_asked_again(
    transactional_db: None, fakes: dict[str, FakeProvider], start, settings
) -> None:
    settings.PROVIDER_READ_TIMEOUT = 0.2
    client = await start()
    fakes["claude"].always(Reply({}, delay=1.0))
    body = (await client.post("/complete", json=PROMPT)).json()
    assert body["provider"] != "claude"
    assert len(fakes["claude"].asked) == 1
    record = await RequestRecord.objects.aget()
    assert [a["error"] for a in record.attempts] == ["timeout"]
    assert record.cost > record.failed_cost > 0


async def test_a_request_makes_a_bounded_number_of_calls(
    transactional_db: None, fakes: dict[str, FakeProvider], start, settings
) -> None:
    settings.MAX_UPSTREAM_CALLS, settings.BREAKER_FAILURES = 3, 1
    client = await start()
    for fake in fakes.values():
        fake.always(Reply({}, 500))
    assert (await client.post("/complete", json=PROMPT)).status_code == 503
    assert sum(len(fake.asked) for fake in fakes.values()) == 3
    caller = get_services().caller
    assert {caller.circuit_state(name) for name in caller.providers} == {"closed"}


async def test_a_model_that_limits_its_rate_is_spared_for_as_long_as_it_says(
    client: httpx.AsyncClient, fakes: dict[str, FakeProvider]
) -> None:
    fakes["claude"].always(Reply({}, 429, {"retry-after": "17"}))
    await client.post("/complete", json=PROMPT)
    assert len(fakes["claude"].asked) == 1
    second = (await client.post("/complete", json={"prompt": "And of Spain?"})).json()
    assert second["routing_metadata"]["fallback_used"] is False
    metric = await RoutingMetric.objects.select_related("request").aget(
        request__pk=second["request_id"]
    )
    reasons = [c["reason"] for c in metric.metadata["candidates"] if c["provider"] == "claude"]
    assert any("limits the rate of its calls for 1" in reason for reason in reasons)


async def test_without_any_provider_it_starts_and_says_what_to_set(
    transactional_db: None, start
) -> None:
    client = await start()
    response = await client.post("/complete", json=PROMPT)
    assert response.status_code == 503
    assert "ANTHROPIC_API_KEY" in response.json()["detail"]
    assert (await RequestRecord.objects.aget()).cost == 0
    health = await client.get("/health")
    assert health.status_code == 503
    assert health.json()["providers_available"] == []


async def test_an_unwritable_database_costs_no_answer_and_no_record(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def locked(entries: object) -> Decimal:
        raise OperationalError("database is locked")

    with monkeypatch.context() as broken:
        broken.setattr(ledger_module, "write_entries", locked)
        response = await client.post("/complete", json=PROMPT)
        other = await client.post("/complete", json={"prompt": "And of Spain?"})
    assert response.status_code == other.status_code == 200
    assert response.json()["response"]
    assert "The database cannot be written" in caplog.text
    assert await RequestRecord.objects.acount() == 0

    ledger = get_services().ledger
    ledger.database.reset()
    await ledger.catch_up()
    assert not ledger.journal_backlog
    assert await RequestRecord.objects.acount() == await RoutingMetric.objects.acount() == 2
    again = await client.post("/complete", json=PROMPT)
    assert again.json()["cache_hit"] is True
    assert again.json()["cost"] == 0


async def test_an_unreadable_cache_is_a_miss_with_a_warning(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def away(keys: object) -> None:
        raise OperationalError("gone")

    monkeypatch.setattr("analytics.cache._find_live", away)
    assert (await client.post("/complete", json=PROMPT)).status_code == 200
    assert "response cache cannot be read" in caplog.text


async def test_unreadable_outcomes_leave_routing_by_what_is_known(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def away() -> None:
        raise OperationalError("gone")

    evidence = get_services().evidence
    monkeypatch.setattr(evidence._outcomes, "_load", away)
    for _ in range(3):
        await get_services().in_background(evidence.refresh)
    answer = (await client.post("/complete", json={**PROMPT, "auto_route": True})).json()
    assert answer["strategy_used"] == "hybrid"
    assert caplog.text.count("Outcomes cannot be read") == 1


async def test_a_strategy_that_fails_is_replaced_by_complexity_and_logged_once(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> None:
        raise KeyError(SECRET_PROMPT)

    monkeypatch.setattr(get_services().evidence, "posterior", broken)
    with caplog.at_level(logging.WARNING):
        answer = (
            await client.post("/complete", json={"prompt": SECRET_PROMPT, "auto_route": True})
        ).json()
    assert answer["strategy_used"] == "hybrid_fallback"
    assert answer["routing_metadata"]["fallback_used"] is True
    assert "KeyError" in answer["routing_metadata"]["fallback_reason"]
    assert sum("complexity decides" in r.getMessage() for r in caplog.records) == 1
    assert "xyzzy" not in caplog.text


async def test_an_answer_that_cannot_be_recorded_anywhere_is_not_delivered(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked(entries: object) -> Decimal:
        raise OperationalError("database is locked")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ledger_module, "write_entries", locked)
    monkeypatch.setattr("analytics.ledger.journal.Journal.append", full)
    response = await client.post("/complete", json=PROMPT)
    assert response.status_code == 503
    assert "could not be recorded" in response.json()["detail"]


async def test_reports_without_a_database_are_503(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(**_: object) -> None:
        raise OperationalError("gone")

    monkeypatch.setattr("optimizer.api.v1.reports.usage_stats", away)
    response = await client.get("/stats")
    assert response.status_code == 503
    assert "database" in response.json()["detail"]


async def test_a_bug_shows_neither_traceback_nor_prompt(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def bug(prompt: str) -> None:
        raise RuntimeError(prompt)

    monkeypatch.setattr("optimizer.domain.request.analyze_prompt", bug)
    response = await client.post("/complete", json={"prompt": SECRET_PROMPT})
    assert response.status_code == 500
    assert response.json()["detail"] == (
        "Something went wrong on our side. If it happens again, report the request ID."
    )
    assert "xyzzy" not in response.text + capsys.readouterr().err


async def test_it_starts_and_goes_on_while_the_database_cannot_be_read(
    transactional_db: None, fakes, start, settings, monkeypatch, caplog
) -> None:
    """What is read again and again is read again when the database is back."""
    settings.EVIDENCE_REFRESH_SECONDS = 0.02
    down = True

    def load(*_: object) -> list:
        if down:
            raise OperationalError("connection refused")
        return []

    monkeypatch.setattr("optimizer.wiring.installation.deciding.rules_load", load)
    await start()
    services = get_services()
    read: list[bool] = []
    monkeypatch.setattr(services.experiments, "_load", lambda: read.append(down))
    await eventually(lambda: True in read)
    down = False
    await eventually(lambda: False in read)
    assert services._upkeep
    assert not any(task.done() for task in services._upkeep)
    # Once by what reads within a second, and once by what reads the rest, too.
    assert caplog.text.count("Reading the rules cannot be done now") == 2
