"""Savings, metrics and the report: pair by pair, to the cent, on every database."""

from __future__ import annotations

import csv
import io
import json
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.core.management import CommandError, call_command
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from analytics.ledger.daily_totals import known_values, savings_summary
from analytics.ledger.savings import cost_savings, savings_of_call, savings_of_hit
from analytics.models import CachedResponse, RequestRecord, RoutingMetric
from analytics.money import MoneySum, dollars
from analytics.quality.evidence import evidence_load, evidence_rebuild
from analytics.quality.feedback import quality_stats
from analytics.quality.insights import learned_insights
from analytics.reports.breakdown import DIMENSIONS, breakdown
from analytics.reports.usage import routing_metrics, usage_stats
from tests.factories import (
    CachedResponseFactory,
    DailyTotalFactory,
    FeedbackFactory,
    RequestRecordFactory,
    RoutingMetricFactory,
)

pytestmark = pytest.mark.django_db
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
usd = st.decimals(0, 1000, places=10)


def run(command: str, *arguments: str) -> str:
    out = io.StringIO()
    call_command(command, *arguments, stdout=out, stderr=io.StringIO())
    return out.getvalue()


@given(usd, usd, usd)
def test_baseline_is_cost_plus_savings(cost: Decimal, baseline: Decimal, original: Decimal) -> None:
    call = savings_of_call(cost, baseline)
    assert baseline == cost + call.routing + call.cache
    hit = savings_of_hit(original, baseline)
    assert baseline == 0 + hit.routing + hit.cache


def test_unknown_prices_save_nothing_known() -> None:
    assert savings_of_call(None, Decimal(1)).routing is None
    assert savings_of_hit(None, Decimal(1)).total is None


def test_only_whole_pairs_are_compared() -> None:
    RoutingMetricFactory(request__cost=Decimal("0.3"), baseline_cost=Decimal("0.5"))
    RoutingMetricFactory(request__cost=Decimal("0.4"), baseline_cost=Decimal("0.3"))
    RoutingMetricFactory(request__cost=None, baseline_cost=Decimal(9))
    RoutingMetricFactory(request__cost=Decimal(7), baseline_cost=None, routing_saved=None)
    found = cost_savings(LONG_AGO)
    assert found["baseline_cost"] == Decimal("0.8")
    assert found["intelligent_cost"] == Decimal("0.7")
    assert found["total_saved"] == found["routing_saved"] == Decimal("0.1")
    assert found["percent_saved"] == 12.5
    assert (found["paired_requests"], found["unpriced_requests"]) == (2, 2)


@hypothesis_settings(max_examples=20, deadline=None)
@given(st.lists(usd, min_size=1, max_size=30))
def test_money_adds_up_exactly_in_the_database(costs: list[Decimal]) -> None:
    RequestRecord.objects.all().delete()
    RequestRecord.objects.bulk_create(RequestRecordFactory.build(cost=cost) for cost in costs)
    found = RequestRecord.objects.aggregate(total=MoneySum("cost"))["total"]
    assert found == sum(costs)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (None, "unknown"),
        (Decimal(0), "$0.00"),
        (Decimal("0.0000123"), "$0.000012"),
        (Decimal("-0.5"), "-$0.500000"),
        (Decimal("1234.567"), "$1,234.57"),
    ],
)
def test_dollars_are_written_to_be_read(value: Decimal | None, written: str) -> None:
    assert dollars(value) == written


class TestWithAWeekOfTraffic:
    @pytest.fixture(autouse=True)
    def _traffic(self) -> None:
        now = datetime.now(UTC)
        for day in range(7):
            for number in range(day + 1):
                RoutingMetricFactory(
                    request__created_at=now - timedelta(days=day, minutes=1),
                    request__cost=Decimal("0.0123456789") * (number + 1),
                    request__strategy="hybrid" if number % 2 else "complexity",
                    request__confidence="high" if number % 3 else "low",
                    request__provider="gemini" if number % 2 else "claude",
                    baseline_cost=Decimal("0.1"),
                )
        RequestRecordFactory(status="error", cost=Decimal(0), provider="", model="")
        RoutingMetricFactory(request__created_at=now - timedelta(days=30))

    def test_the_json_report_adds_up_with_the_api_to_the_cent(self) -> None:
        report = json.loads(run("routing_report", "--format", "json"), parse_float=Decimal)
        rows = RoutingMetric.objects.filter(created_at__gte=datetime.now(UTC) - timedelta(days=7))
        cost = sum(r.actual_cost for r in rows)
        saved = sum(r.routing_saved for r in rows)
        assert report["totals"]["cost"] == report["savings"]["intelligent_cost"] == cost
        assert report["savings"]["total_saved"] == saved
        assert report["savings"]["baseline_cost"] - cost == saved
        for section in ("by_provider", "by_model"):
            assert sum(r["total_cost"] for r in report[section]) == cost
            assert sum(r["count"] for r in report[section]) == 28
        assert sum(r["cost"] for r in report["by_day"]) == cost
        assert sum(r["saved"] for r in report["by_day"]) == saved
        assert len(report["by_day"]) == 8
        assert (report["totals"]["requests"], report["totals"]["failed"]) == (29, 1)
        api = routing_metrics(7)
        assert Decimal(str(float(api["cost_savings"]["total_saved"]))) == saved
        assert sum(r["count"] for r in api["by_strategy"]) == 28
        assert sum(r["count"] for r in api["by_confidence"]) == 28

    def test_the_csv_has_one_figure_a_line(self) -> None:
        rows = list(csv.DictReader(io.StringIO(run("routing_report", "--format", "csv"))))
        assert {tuple(r) for r in rows} == {("section", "name", "figure", "value")}
        figures = {(r["section"], r["name"], r["figure"]): r["value"] for r in rows}
        assert figures["totals", "", "requests"] == "29"
        assert Decimal(figures["savings", "", "total_saved"]) > 0

    @pytest.mark.parametrize("kind", ["table", "markdown"])
    def test_people_s_formats_show_every_section(self, kind: str) -> None:
        text = run("routing_report", "--format", kind)
        for word in (
            "Saved",
            "Strategies",
            "Confidence",
            "Providers",
            "Models",
            "hybrid",
            "claude",
        ):
            assert word in text
        assert any(bar in text for bar in "▂▃▄▅▆▇█")

    def test_it_writes_to_a_file(self, tmp_path) -> None:
        run("routing_report", "--format", "json", "--output", str(tmp_path / "r.json"))
        assert json.loads((tmp_path / "r.json").read_text())["totals"]["requests"] == 29
        with pytest.raises(CommandError, match="Cannot write"):
            run("routing_report", "--output", str(tmp_path / "no" / "r.txt"))

    def test_stats_cover_everything_ever_recorded(self) -> None:
        stats = usage_stats()
        assert stats["overall"]["total_requests"] == 30
        assert stats["overall"]["failed_requests"] == 1
        assert sum(r["count"] for r in stats["by_provider"]) == 29
        assert len(stats["recent_requests"]) == 10


def test_a_report_without_data_says_so() -> None:
    assert "No requests in the last 7 days" in run("routing_report")


@pytest.mark.parametrize("days", ["0", "366"])
def test_a_report_s_period_is_bounded(days: str) -> None:
    with pytest.raises(CommandError, match="between 1 and 365"):
        run("routing_report", "--days", days)


def test_the_summary_and_filters_read_the_daily_totals() -> None:
    today = datetime.now(UTC).date()
    DailyTotalFactory(date=today, cost=Decimal(1), routing_saved=Decimal(3), requests=2)
    DailyTotalFactory(date=today - timedelta(days=10), cache_saved=Decimal(5), provider="gemini")
    by_label = {row["label"]: row for row in savings_summary()}
    assert by_label["Today"]["saved"] == Decimal(3)
    assert by_label["Today"]["percent"] == 75.0
    assert by_label["Last 7 days"]["total_requests"] == 2
    assert by_label["Last 30 days"]["saved"] == by_label["All time"]["saved"] == Decimal(8)
    assert known_values("provider") == ["claude", "gemini"]


def test_outcomes_are_summed_per_kind_of_prompt_and_model() -> None:
    for score in (1.0, 0.5, 0.0):
        FeedbackFactory(score=score)
    FeedbackFactory(request__pattern="code", request__tier="complex")
    evidence_rebuild()
    known = evidence_load()
    found = known["factual", "simple", "claude", "claude-haiku-5-5"]
    assert found.count == 3
    assert found.quality_sum / found.weight == pytest.approx(0.5, abs=0.01)
    rows = {row["pattern"]: row for row in learned_insights(known)}
    assert rows["factual"]["sample_size"] == 3
    assert rows["code"]["best_model"]["quality"] == 1.0


def test_quality_names_best_worst_and_invalidated_answers() -> None:
    good = CachedResponseFactory(vote_count=4, quality_score=0.9)
    bad = CachedResponseFactory(
        vote_count=3,
        quality_score=0.1,
        invalidated_at=datetime.now(UTC),
        invalidation_reason="votes",
    )
    FeedbackFactory(score=0.25)
    stats = quality_stats()
    assert [a["cache_key"] for a in stats["best"]] == [good.cache_key]
    assert stats["worst"][0]["cache_key"] == bad.cache_key
    assert stats["invalidated"][0]["reason"] == "votes"
    assert stats["overall"] == {"count": 1, "quality": 0.25, "positive": 0, "negative": 1}
    assert stats["by_provider"][0]["provider"] == "claude"


class TestPrune:
    @pytest.fixture(autouse=True)
    def _rows(self) -> None:
        old = datetime.now(UTC) - timedelta(days=40)
        for _ in range(5):
            RoutingMetricFactory(request__created_at=old)
            FeedbackFactory(request__created_at=old)
        RoutingMetricFactory()
        CachedResponseFactory(created_at=old)
        CachedResponseFactory(created_at=old, last_hit_at=datetime.now(UTC))
        CachedResponseFactory(expires_at=datetime.now(UTC) - timedelta(seconds=1))

    def test_old_rows_go_in_batches_and_what_was_learned_stays(self) -> None:
        assert "Would delete 10 requests and 2" in run("prune", "--days", "30", "--dry-run")
        evidence_rebuild()
        now = datetime.now(UTC)
        before = evidence_load(now)
        assert before
        assert "Deleted 10 requests and 2" in run("prune", "--days", "30", "--batch-size", "3")
        assert RequestRecord.objects.count() == RoutingMetric.objects.count() == 1
        assert CachedResponse.objects.count() == 1
        assert evidence_load(now) == before
        assert "Nothing to delete" in run("prune", "--days", "30")

    def test_arguments_are_checked(self) -> None:
        for arguments in (("--days", "0"), ("--days", "5", "--batch-size", "0")):
            with pytest.raises(CommandError, match="at least 1"):
                run("prune", *arguments)


@pytest.mark.django_db
def test_answers_that_were_cut_off_count_with_what_they_cost() -> None:
    RequestRecordFactory(cost=Decimal("0.5"))
    RequestRecordFactory(cost=Decimal("0.25"), status=RequestRecord.Status.PARTIAL)
    RequestRecordFactory(cost=Decimal("0.1"), status=RequestRecord.Status.ERROR)
    stats = usage_stats()
    assert (stats["overall"]["total_requests"], stats["overall"]["failed_requests"]) == (3, 1)
    assert [row["total_cost"] for row in stats["by_provider"]] == [Decimal("0.75")]


class TestBreakdown:
    @pytest.fixture(autouse=True)
    def _traffic(self) -> None:
        for number, (user, tags, provider, cost) in enumerate(
            [
                ("ann", ["a", "b"], "claude", "0.1"),
                ("ann", ["a"], "claude", "0.2"),
                ("bob", [], "openai", "0.4"),
                ("", ["<script>"], "openai", "0.8"),
            ]
        ):
            RoutingMetricFactory(
                request__user_id=user,
                request__tags=tags,
                request__provider=provider,
                request__cost=Decimal(cost),
                request__created_at=datetime.now(UTC) - timedelta(days=number),
                baseline_cost=Decimal(1),
            )
        RequestRecordFactory(
            user_id="bob", provider="", model="", status=RequestRecord.Status.ERROR, cost=Decimal(0)
        )

    def by(self, dimension: str) -> dict[str, tuple[int, Decimal, Decimal]]:
        since = datetime.now(UTC) - timedelta(days=7)
        return {
            row["name"]: (row["requests"], row["cost"], row["saved"])
            for row in breakdown(dimension, since)
        }

    def test_each_dimension_sums_what_is_its_own(self) -> None:
        d = Decimal
        assert self.by("user") == {
            "(none)": (1, d("0.8"), d("0.2")),
            "bob": (2, d("0.4"), d("0.6")),
            "ann": (2, d("0.3"), d("1.7")),
        }
        assert self.by("tag") == {
            "<script>": (1, d("0.8"), d("0.2")),
            "(none)": (2, d("0.4"), d("0.6")),
            "a": (2, d("0.3"), d("1.7")),
            "b": (1, d("0.1"), d("0.9")),
        }
        assert set(self.by("provider")) == {"claude", "openai", "(none)"}
        assert set(self.by("model")) == {
            "claude/claude-haiku-5-5", "openai/claude-haiku-5-5", "(none)",
        }  # fmt: skip

    @pytest.mark.parametrize("dimension", [d for d in DIMENSIONS if d != "tag"])
    def test_every_dimension_adds_up_to_the_whole(self, dimension: str) -> None:
        rows = breakdown(dimension, datetime.now(UTC) - timedelta(days=7))
        assert sum(row["cost"] for row in rows) == Decimal("1.5")
        assert sum(row["saved"] for row in rows) == Decimal("2.5")
        assert sum(row["failed"] for row in rows) == 1

    def test_what_is_too_much_to_show_is_summed_up(self) -> None:
        rows = breakdown("user", datetime.now(UTC) - timedelta(days=7), most=2)
        assert [(row["name"], row["requests"]) for row in rows] == [("(none)", 1), ("(others)", 4)]
        assert sum(row["cost"] for row in rows) == Decimal("1.5")
        assert rows[1]["saved_percent"] == pytest.approx(76.67)

    @pytest.mark.parametrize("kind", ["table", "markdown", "html"])
    def test_people_see_it(self, kind: str) -> None:
        text = run("routing_report", "--by", "user", "--format", kind)
        assert "By user" in text
        assert "(none)" in text
        assert "$0.400000" in text

    def test_programs_find_it_beside_what_was_there(self) -> None:
        report = json.loads(run("routing_report", "--by", "tag", "--format", "json"))
        assert report["breakdown"]["by"] == "tag"
        assert report["breakdown"]["rows"][0]["name"] == "<script>"
        assert "breakdown" not in json.loads(run("routing_report", "--format", "json"))
        rows = list(
            csv.DictReader(io.StringIO(run("routing_report", "--by", "tag", "--format", "csv")))
        )
        found = {r["name"] for r in rows if r["section"] == "breakdown_tag"}
        assert found == {"a", "b", "(none)", "<script>"}

    def test_the_html_stands_alone_and_escapes_what_clients_wrote(self) -> None:
        page = run("routing_report", "--by", "tag", "--format", "html")
        assert page.startswith("<!doctype html>")
        assert page.count("<svg") == 3
        assert "<script" not in page
        assert "&lt;script&gt;" in page
        without_namespaces = re.sub(
            r'xmlns(:\w+)?="[^"]*"|<metadata>.*?</metadata>', "", page, flags=re.S
        )
        assert not re.search(r"https?://|src=|@import|url\((?!#)", without_namespaces)
        assert "$1.50" in page


@pytest.mark.parametrize("kind", ["html"])
def test_a_picture_of_nothing_says_so(kind: str) -> None:
    assert "No requests were recorded" in run("routing_report", "--format", kind)
