"""Reconciliation: nothing remains where nothing is missing, and what is missing has a name."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from analytics.alerts.metrics import read_rule
from analytics.models import AlertRule, ProviderStatementLine, ReconciledEstimate, RequestRecord
from analytics.reconciliation.stated_models import ledger_model
from tests.factories import ComparisonFactory, RequestRecordFactory
from tests.fakes.billing import ADMIN, BilledCall, FakeBilling, fake_billing

D = Decimal
NOON = datetime(2026, 10, 5, 12, tzinfo=UTC)
MODELS = {"openai": "gpt-6-luna", "claude": "claude-haiku-5-5", "openrouter": "z-ai/glm-5.3-flash"}
BASES = {"openai": "/v1", "claude": "/v1", "openrouter": "/api/v1"}
pytestmark = pytest.mark.django_db
each_provider = pytest.mark.parametrize("provider", sorted(MODELS))


@pytest.fixture
def billing(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeBilling]:
    monkeypatch.setenv("OPENAI_ADMIN_KEY", ADMIN["openai"])
    monkeypatch.setenv("ANTHROPIC_ADMIN_KEY", ADMIN["claude"])
    monkeypatch.setenv("OPENROUTER_ADMIN_KEY", ADMIN["openrouter"])
    with fake_billing() as running:
        yield running


def call(
    billing: FakeBilling,
    provider: str,
    billed: str,
    at: datetime = NOON,
    *,
    billed_at: datetime | None = None,
    **columns: Any,
) -> RequestRecord:
    """Record a request that its provider charged as the ledger says."""
    model, charged = MODELS[provider], D(billed)
    billing.calls.append(BilledCall(billed_at or at, model, charged))
    columns = {"cost": charged, "tokens_in": 100, "tokens_out": 10, **columns}
    row: RequestRecord = RequestRecordFactory(
        provider=provider, model=model, created_at=at, **columns
    )
    return row  # fmt: skip


def run(provider: str, billing: FakeBilling, *arguments: str) -> dict[str, Any]:
    out = io.StringIO()
    call_command(
        "reconcile", "--read", provider, "--base-url", billing.url + BASES[provider],
        "--month", "2026-10", "--format", "json", *arguments, stdout=out, stderr=io.StringIO(),
    )  # fmt: skip
    (result,) = json.loads(out.getvalue())
    assert isinstance(result, dict)
    return result


@each_provider
def test_nothing_remains_where_nothing_is_missing(billing: FakeBilling, provider: str) -> None:
    billing.most_buckets = 2  # many pages
    for number in range(40):
        call(billing, provider, f"0.0{number:02}1234567", NOON + timedelta(hours=7 * number))
    RequestRecordFactory(provider=provider, model=MODELS[provider], created_at=NOON, cache_hit=True,
                         cost=D(0), original_cost=D(1))  # fmt: skip
    RequestRecordFactory(provider=provider, created_at=NOON, replayed=True, cost=D(3))
    result = run(provider, billing, "--tolerance", "0")
    assert (result["remainder"], result["causes"]) == ("0.0000000000", {})
    assert (result["capture_rate"], D(result["invoice"]) > 0) == (1.0, True)
    # What was read is shown again without reading it, and is not stored twice.
    before = ProviderStatementLine.objects.count()
    assert run(provider, billing)["cells"] == result["cells"]
    assert ProviderStatementLine.objects.count() == before


@each_provider
def test_calls_past_the_gateway_are_named(billing: FakeBilling, provider: str) -> None:
    call(billing, provider, "0.5")
    billing.calls.append(BilledCall(NOON, MODELS[provider], D("0.25")))
    billing.calls.append(BilledCall(NOON, "another-model", D("0.125")))
    result = run(provider, billing)
    assert result["causes"] == {"calls past the gateway": "0.3750000000"}
    assert result["capture_rate"] == pytest.approx(0.5 / 0.875)
    with pytest.raises(CommandError, match="More than 1.0 % is missing"):
        run(provider, billing, "--tolerance", "1")


@each_provider
def test_unpriced_rows_and_other_prices_are_named(billing: FakeBilling, provider: str) -> None:
    call(billing, provider, "0.5")
    call(billing, provider, "0.25", cost=None)
    call(billing, provider, "0.3", NOON + timedelta(days=2), cost=D("0.1"))
    result = run(provider, billing)
    assert result["causes"] == {
        "unpriced in the ledger": "0.2500000000", "another price": "0.2000000000",
    }  # fmt: skip


@each_provider
def test_estimates_that_were_not_charged_are_named_and_marked(
    billing: FakeBilling, provider: str
) -> None:
    call(billing, provider, "0.5")
    lost = RequestRecordFactory(
        provider=provider, model=MODELS[provider], created_at=NOON, status="error",
        usage_estimated=True, cost=D("0.04"), failed_cost=D("0.04"),
        attempts=[{"provider": provider, "model": MODELS[provider], "error": "worker_lost",
                   "cost": "0.0400000000", "estimated": True}],
    )  # fmt: skip
    later = call(billing, provider, "0.25", NOON + timedelta(days=1), usage_estimated=True)
    result = run(provider, billing)
    assert result["causes"] == {"estimated, not charged": "-0.0400000000"}
    assert dict(ReconciledEstimate.objects.values_list("request_id", "outcome")) == {
        lost.pk: "free", later.pk: "charged",
    }  # fmt: skip


@each_provider
def test_a_call_that_is_charged_on_the_next_day_is_a_day_edge(
    billing: FakeBilling, provider: str
) -> None:
    night = datetime(2026, 10, 5, 23, 59, 58, tzinfo=UTC)
    call(billing, provider, "0.5")
    call(billing, provider, "0.25", night, billed_at=night + timedelta(seconds=5))
    call(billing, provider, "0.5", NOON + timedelta(days=1))
    result = run(provider, billing, "--tolerance", "0")
    causes = [cell["causes"] for cell in result["cells"]]
    assert causes == [{"day edge": "-0.2500000000"}, {"day edge": "0.2500000000"}]
    assert (result["capture_rate"], result["remainder"]) == (1.0, "0.0000000000")


def test_days_of_another_time_zone_are_recognized(billing: FakeBilling) -> None:
    for number in range(60):
        at = NOON + timedelta(hours=3 * number)
        call(billing, "openai", f"0.{number + 1:03}", at, billed_at=at - timedelta(hours=7))
    result = run("openai", billing)
    assert result["fits_utc_offset"] == -7
    assert set(result["causes"]) <= {"time zone"}
    assert result["missing_percent"] == 0


def test_tools_on_a_line_of_their_own_are_matched(billing: FakeBilling) -> None:
    call(billing, "claude", "0.5", cost=D("0.51"))
    billing.calls.append(BilledCall(NOON, "", D("0.01"), item="Web Search Usage"))
    result = run("claude", billing, "--tolerance", "0")
    assert (result["remainder"], result["capture_rate"]) == ("0.0000000000", 1.0)
    assert [cell["causes"] for cell in result["cells"]] == [
        {"stated on another line": "0.0100000000"}, {"stated on another line": "-0.0100000000"},
    ]  # fmt: skip


def test_failed_attempts_and_judging_count_where_they_were_made(billing: FakeBilling) -> None:
    attempts = [{"provider": "openai", "model": MODELS["openai"], "cost": "0.02", "error": "cut"}]
    call(billing, "claude", "0.5", cost=D("0.52"), failed_cost=D("0.02"), attempts=attempts)
    assert run("claude", billing)["remainder"] == "0.0000000000"
    billing.calls = [BilledCall(NOON, MODELS["openai"], D("0.05"))]
    ComparisonFactory(
        created_at=NOON, request=None, provider="x", model="y", pattern="code", tier="simple",
        judge=f"openai/{MODELS['openai']}", judge_cost=D("0.03"),
    )  # fmt: skip
    assert run("openai", billing)["remainder"] == "0.0000000000"


@pytest.mark.parametrize(("served", "models"), [(True, ("x", "openai")), (False, ("openai", "x"))])
def test_a_second_answer_counts_where_it_was_given(
    billing: FakeBilling, served: bool, models: tuple[str, str]
) -> None:
    billing.calls = [BilledCall(NOON, MODELS["openai"], D("0.04"))]
    ComparisonFactory(
        created_at=NOON, request=None, provider=models[0], model=MODELS["openai"], pattern="code",
        tier="simple", served=served, reference_provider=models[1],
        reference_model=MODELS["openai"], answer_cost=D("0.04"),
    )  # fmt: skip
    assert run("openai", billing)["remainder"] == "0.0000000000"


def test_other_projects_of_the_account_are_named(billing: FakeBilling) -> None:
    call(billing, "openai", "0.5")
    billing.calls.append(BilledCall(NOON, MODELS["openai"], D(2), project="proj_other"))
    result = run("openai", billing, "--keys", "proj_gateway")
    assert result["causes"] == {"calls with other keys": "2.0000000000"}


def test_what_nothing_explains_stays_unexplained(billing: FakeBilling) -> None:
    call(billing, "openai", "0.5", cost=D("0.7"), tokens_in=90)
    result = run("openai", billing)
    assert result["causes"] == {"unexplained": "-0.2000000000"}


def test_dated_names_and_descriptions_are_the_ledger_s_models() -> None:
    models = {"gpt-4o", "gpt-4o-mini", "gemini-2.5-flash", "gemini-2.5-flash-lite"}
    assert ledger_model("gpt-4o-2024-08-06", models) == "gpt-4o"
    assert ledger_model("Gemini 2.5 Flash Lite GA Text Output - Predictions", models) == (
        "gemini-2.5-flash-lite"
    )
    assert ledger_model("Gemini 2.5 Flash short output text", models) == "gemini-2.5-flash"
    assert ledger_model("o3-2025-04-16", models) == "o3-2025-04-16"


def file_result(path: Path, *arguments: str) -> dict[str, Any]:
    out = io.StringIO()
    call_command("reconcile", "--file", path, "--format", "json", *arguments, stdout=out,
                 stderr=io.StringIO())  # fmt: skip
    (result,) = json.loads(out.getvalue())
    assert isinstance(result, dict)
    return result


@pytest.mark.parametrize("kind", ["json", "lines", "csv"])
def test_google_s_export_is_read_in_its_days(tmp_path: Path, kind: str) -> None:
    early = datetime(2026, 10, 5, 3, tzinfo=UTC)  # the 4th in Los Angeles
    RequestRecordFactory(provider="gemini", model="gemini-3.8-flash", created_at=early,
                         cost=D("0.0125"))  # fmt: skip
    rows = [
        {
            "service": {"description": "Gemini API"},
            "sku": {"description": "Generate content input token count Gemini 3.8 Flash text"},
            "project": {"id": "p1"}, "currency": "USD", "cost": 0.02,
            "usage_start_time": "2026-10-05T03:00:00Z", "credits": [{"amount": -0.0075}],
        },
        {
            "service": {"description": "Cloud Storage"}, "sku": {"description": "Standard"},
            "currency": "USD", "cost": 7, "usage_start_time": "2026-10-05T03:00:00Z",
        },
    ]  # fmt: skip
    texts = {
        "json": json.dumps(rows),
        "lines": "\n".join(map(json.dumps, rows)),
        "csv": "service.description,sku.description,project.id,currency,cost,usage_start_time,"
        "credits.amount\nGemini API,Gemini 3.8 Flash text input,p1,USD,0.02,"
        "2026-10-05 03:00:00 UTC,-0.0075\n",
    }
    path = tmp_path / "export"
    path.write_text(texts[kind])
    result = file_result(path, "--provider", "gemini", "--time-zone", "America/Los_Angeles")
    (cell,) = result["cells"]
    assert (cell["day"], cell["model"], cell["remainder"]) == (
        "2026-10-04", "gemini-3.8-flash", "0.0000000000",
    )  # fmt: skip


def test_any_csv_is_read_by_a_mapping_and_rounding_is_named(tmp_path: Path) -> None:
    RequestRecordFactory(provider="groq", model="gpt-oss-120b", created_at=NOON, cost=D("1.2345"))
    path = tmp_path / "bill.csv"
    path.write_text('Date,Model,Cost (USD)\n2026-10-05,gpt-oss-120b,"$1.23"\n,Total,1.23\n')
    columns = "day=Date,model=Model,amount=Cost (USD)"
    result = file_result(path, "--provider", "groq", "--columns", columns, "--tolerance", "0")
    assert result["causes"] == {"rounding": "-0.0045000000"}
    for wrong, message in (
        ("day=Date", "at least"), ("day=Day,amount=Cost (USD)", "no column 'Day'"),
        ("x=y", "Write name=column"), ("day=Model,amount=Cost (USD)", "Line 2.*no day"),
    ):  # fmt: skip
        with pytest.raises(CommandError, match=message):
            file_result(path, "--provider", "groq", "--columns", wrong)
    path.write_text("Date,Cost,Currency\n2026-10-05,1,EUR\n")
    with pytest.raises(CommandError, match="in EUR"):
        file_result(path, "--provider", "groq", "--columns",
                    "day=Date,amount=Cost,currency=Currency")  # fmt: skip


def test_saved_reports_are_read_from_files(tmp_path: Path) -> None:
    path = tmp_path / "activity.json"
    path.write_text(json.dumps({"data": [{
        "date": "2026-10-05", "model": "m", "usage": 0.5, "requests": 1, "prompt_tokens": 1,
        "completion_tokens": 1, "provider_name": "x",
    }]}))  # fmt: skip
    assert file_result(path, "--provider", "openrouter")["invoice"] == "0.5000000000"
    path.write_text("[1]")
    with pytest.raises(CommandError, match="no report of openrouter"):
        file_result(path, "--provider", "openrouter")


def test_limits_and_errors_of_the_api(
    billing: FakeBilling, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    call(billing, "openai", "0.5")
    billing.failures = [(429, {"retry-after": "0"}), (500, {"retry-after": "0"})]
    assert run("openai", billing)["remainder"] == "0.0000000000"
    billing.failures = [(400, {})]
    with pytest.raises(CommandError, match="HTTP 400. Slow down,$"):
        run("openai", billing)
    billing.failures = [(503, {"retry-after": "0"})] * 5
    with pytest.raises(CommandError, match="HTTP 503, 5 times"):
        run("openai", billing)
    monkeypatch.setenv("OPENAI_ADMIN_KEY", "sk-wrong-key")
    with pytest.raises(CommandError, match="admin key") as refused:
        run("openai", billing)
    monkeypatch.delenv("OPENAI_ADMIN_KEY")
    with pytest.raises(CommandError, match="OPENAI_ADMIN_KEY is not set"):
        run("openai", billing)
    assert "sk-wrong-key" not in str(refused.value) + caplog.text
    assert all("sk-" not in path for path in billing.asked)


def test_an_alert_beyond_a_tolerance(billing: FakeBilling) -> None:
    now = datetime.now(UTC)
    rule = AlertRule(name="Bill", metric="invoice", limit=D(5), period="month", webhook="http://x")
    assert (read_rule(rule).value, read_rule(rule).passed) == (None, False)
    ProviderStatementLine.objects.create(
        provider="openai", source="api", day=now.date(), model="m", amount=D(2)
    )
    RequestRecordFactory(provider="openai", model="m", created_at=now, cost=D("1.8"))
    reading = read_rule(rule)
    assert (reading.value, reading.passed) == (D(10), True)
    assert "differ by $0.200000, 10.00 %" in reading.text


def test_the_page_shows_what_differs(billing: FakeBilling, admin_client: Client) -> None:
    empty = admin_client.get("/admin/invoices/?month=2026-10").content.decode()
    assert "manage.py reconcile --read openai" in empty
    call(billing, "openai", "0.5")
    billing.calls.append(BilledCall(NOON, "<b>model", D("0.25")))
    run("openai", billing)
    page = admin_client.get(
        "/admin/invoices/provider?month=2026-10&provider=openai"
    ).content.decode()
    assert "calls past the gateway $0.250000" in page
    assert "&lt;b&gt;model" in page
    assert "66.67 %" in page
    wrong = admin_client.get("/admin/invoices/?month=x").content.decode()
    assert "Write a month like 2026-10" in wrong


@pytest.mark.parametrize("kind", ["table", "csv"])
def test_other_formats(billing: FakeBilling, kind: str) -> None:
    call(billing, "openai", "0.5")
    billing.calls.append(BilledCall(NOON, "=other", D("0.25")))
    run("openai", billing)
    out = io.StringIO()
    call_command("reconcile", "--month", "2026-10", "--format", kind, stdout=out)
    assert "calls past the gateway" in out.getvalue()
    assert "\n=other" not in out.getvalue()
    with pytest.raises(CommandError, match="Nothing is stated"):
        call_command("reconcile", "--month", "2026-01")


@pytest.mark.django_db
@pytest.mark.parametrize("tolerance", ["nan", "inf", "-1"])
def test_a_tolerance_that_no_difference_passes_is_refused(tolerance: str) -> None:
    with pytest.raises(CommandError, match="--tolerance must be a number"):
        call_command("reconcile", f"--tolerance={tolerance}", stdout=io.StringIO())
