"""Hourly totals: what reports read is what the requests add up to, whatever happens to them."""

from __future__ import annotations

import io
import random
import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, connections, transaction
from django.test.utils import CaptureQueriesContext
from hypothesis import given
from hypothesis import strategies as st

from analytics.ledger.ledger import LedgerEntry, write_entries
from analytics.ledger.rollups import mark_late, mark_stale, totals_differ, totals_update
from analytics.models import (
    DailyRollup,
    DailyTotal,
    HourlyRollup,
    RequestRecord,
    StaleRollupHour,
    TotalsState,
)
from analytics.reports.breakdown import DIMENSIONS, breakdown
from analytics.reports.figures import FIGURES, KEPT
from analytics.reports.period_sums import SumQuery
from analytics.reports.report import routing_report
from analytics.reports.rollup_coverage import HOUR, RollupCoverage, day_of
from analytics.reports.sum_queries import row_sums
from analytics.reports.sum_sources import RECORDED, CachedSums
from tests.factories import RequestRecordFactory, RoutingMetricFactory

NOW = datetime(2026, 3, 10, 12, 34, 56, tzinfo=UTC)
SINCE = NOW - timedelta(days=3)


def make(count: int, seed: int = 1, around: datetime = NOW) -> None:
    """Requests over the five days before ``around``, with awkward amounts."""
    chance = random.Random(seed)
    for _ in range(count):
        at = around - timedelta(seconds=chance.uniform(0, 5 * 86_400))
        if chance.random() < 0.1:
            RequestRecordFactory(
                created_at=at, status="error", provider="", model="", cost=Decimal("0.00001")
            )
            continue
        RoutingMetricFactory(
            request__created_at=at,
            request__cost=None
            if chance.random() < 0.1
            else Decimal(chance.randrange(10**9)) / 10**10,
            request__user_id=chance.choice(["", "ann", "bob"]),
            request__tags=chance.choice([[], ["a"], ["a", "b"], ["b", "b"]]),
            request__model=chance.choice(["claude-haiku-5-5", "some/model"]),
            request__strategy=chance.choice(["hybrid", "complexity", "cached"]),
            request__tokens_out=chance.randrange(100_000),
            request__latency_ms=chance.uniform(0, 5000),
            request__ttft_ms=chance.choice([None, 12.5, 300.0]),
            request__tokens_estimated=chance.randrange(30),
            baseline_cost=Decimal(chance.randrange(10**9)) / 10**10,
            baseline_output_cost=Decimal(chance.randrange(10**8)) / 10**10,
            prompt_cache_saved=Decimal(chance.randrange(10**8)) / 10**10,
            baseline_model="claude-opus-5",
            explored=chance.random() < 0.2,
        )


def sum_up(now: datetime = NOW) -> None:
    for _ in totals_update(now):
        pass


def test_every_figure_is_kept() -> None:
    assert set(FIGURES) <= {field.name for field in HourlyRollup._meta.fields}


@pytest.mark.django_db
class TestSums:
    def test_they_are_those_of_the_rows_however_much_is_summed(self) -> None:
        make(120)
        period = (SINCE, NOW)
        rows = {
            dimension: {value: sums for (_, value), sums in row_sums(dimension, period).items()}
            for dimension in sorted(KEPT)
        }
        for dimension, of_rows in rows.items():
            assert sum(sums["requests"] for sums in of_rows.values()) >= 50, dimension
        for until in (None, NOW - timedelta(days=4), NOW - timedelta(days=2), NOW):
            if until is not None:
                sum_up(until)
            for dimension, of_rows in rows.items():
                assert RECORDED.by(dimension, SINCE, NOW) == of_rows, dimension
        assert TotalsState.objects.get().summed_until == datetime(2026, 3, 10, 12, tzinfo=UTC)
        assert not list(totals_differ())

    def test_the_last_hour_is_read_from_the_rows_until_it_has_rested(self) -> None:
        sum_up(datetime(2026, 3, 10, 13, 19, tzinfo=UTC))
        assert TotalsState.objects.get().summed_until is None
        RoutingMetricFactory(request__created_at=datetime(2026, 3, 10, 12, 59, tzinfo=UTC))
        sum_up(datetime(2026, 3, 10, 13, 19, tzinfo=UTC))
        assert not HourlyRollup.objects.exists()
        sum_up(datetime(2026, 3, 10, 13, 20, tzinfo=UTC))
        assert HourlyRollup.objects.filter(dimension="strategy").count() == 1

    def test_days_are_told_apart(self) -> None:
        make(80)
        before = RECORDED.by_day(SINCE, NOW)
        sum_up()
        assert RECORDED.by_day(SINCE, NOW) == before
        assert {day.date().day for day in before} == {7, 8, 9, 10}

    def test_reports_say_the_same_before_and_after(self) -> None:
        make(80, around=datetime.now(UTC))
        now = datetime.now(UTC)
        reports = [routing_report(4, now, by=by) for by in DIMENSIONS]
        sum_up(now)
        assert HourlyRollup.objects.exists()
        assert [routing_report(4, now, by=by) for by in DIMENSIONS] == reports

    def test_few_queries_read_a_period(self, django_assert_max_num_queries) -> None:
        make(60)
        sum_up()
        with django_assert_max_num_queries(5):
            breakdown("user", SINCE, NOW)


@pytest.mark.django_db
class TestWhatChangesLater:
    def late_request(self) -> RequestRecord:
        decision = RoutingMetricFactory.build(
            request=RequestRecordFactory.build(created_at=NOW - timedelta(days=2))
        )
        write_entries([LedgerEntry(decision.request, decision)])
        return decision.request

    def test_a_request_written_late_counts_at_once_and_is_summed_again(self) -> None:
        make(60)
        sum_up()
        before = sum(sums["requests"] for sums in RECORDED.by("strategy", SINCE, NOW).values())
        self.late_request()
        assert StaleRollupHour.objects.count() == 1
        rows = {value: sums for (_, value), sums in row_sums("strategy", (SINCE, NOW)).items()}
        assert RECORDED.by("strategy", SINCE, NOW) == rows
        assert sum(sums["requests"] for sums in rows.values()) == before + 1
        sum_up()
        assert not StaleRollupHour.objects.exists()
        assert RECORDED.by("strategy", SINCE, NOW) == rows
        assert not list(totals_differ())

    def test_a_request_written_in_time_marks_nothing(self) -> None:
        decision = RoutingMetricFactory.build(request=RequestRecordFactory.build())
        write_entries([LedgerEntry(decision.request, decision)])
        assert not StaleRollupHour.objects.exists()

    def test_what_was_pruned_stays_summed(self) -> None:
        make(60)
        before = breakdown("model", SINCE, NOW)
        call_command("prune", "--days", "1", stdout=io.StringIO(), stderr=io.StringIO())
        assert not RequestRecord.objects.exists()
        since = SINCE.replace(minute=0, second=0) + timedelta(hours=1)
        kept = breakdown("model", since, NOW.replace(minute=0, second=0))
        assert 0 < sum(r["requests"] for r in kept) <= sum(r["requests"] for r in before)
        call_command("rebuild_totals", stdout=io.StringIO(), stderr=io.StringIO())
        assert breakdown("model", since, NOW.replace(minute=0, second=0)) == kept

    def test_replayed_requests_are_taken_back(self) -> None:
        make(20)
        sum_up()
        before = RECORDED.by("user", SINCE, NOW)
        request = self.late_request()
        sum_up()
        assert RECORDED.by("user", SINCE, NOW) != before
        RequestRecord.objects.filter(pk=request.pk).update(replayed=True)
        call_command("replay", "--remove", stdout=io.StringIO(), stderr=io.StringIO())
        assert RECORDED.by("user", SINCE, NOW) == before
        sum_up()
        assert RECORDED.by("user", SINCE, NOW) == before


@pytest.mark.django_db
class TestDays:
    def test_a_day_is_summed_once_its_hours_are(self) -> None:
        make(120)
        sum_up(NOW - timedelta(days=2))
        until = TotalsState.objects.get().days_until
        assert until == day_of(NOW - timedelta(days=2))
        assert set(DailyRollup.objects.values_list("day", flat=True)) <= {
            until - timedelta(days=n) for n in range(1, 9)
        }
        sum_up()
        assert TotalsState.objects.get().days_until > until

    def test_a_late_request_changes_its_day(self) -> None:
        make(120)
        sum_up()
        before = {row.pk: row.requests for row in DailyRollup.objects.filter(dimension="strategy")}
        late = NOW - timedelta(days=3)
        RoutingMetricFactory(request__created_at=late)
        mark_stale([late])
        sum_up()
        after = DailyRollup.objects.filter(dimension="strategy")
        assert sum(row.requests for row in after) == sum(before.values()) + 1
        assert not list(totals_differ())

    def test_a_day_that_is_wrong_is_found(self) -> None:
        make(120)
        sum_up()
        wrong = DailyRollup.objects.filter(dimension="user").latest("day")
        wrong.requests += 1
        wrong.save()
        assert list(totals_differ()) == [(wrong.day, "user", wrong.value)]


HOURS = st.integers(0, 24 * 8).map(lambda n: datetime(2026, 3, 1, tzinfo=UTC) + n * HOUR)
MOMENTS = st.tuples(HOURS, st.sampled_from([0, 0, 1, 59 * 60])).map(
    lambda found: found[0] + timedelta(seconds=found[1])
)


@given(MOMENTS, MOMENTS, st.none() | HOURS, st.none() | HOURS, st.sets(HOURS, max_size=4))
def test_a_period_s_parts_are_all_of_it_and_nothing_twice(
    since: datetime, until: datetime, hours: datetime | None, days: datetime | None,
    stale: set[datetime],
) -> None:  # fmt: skip
    since, until = sorted((since, until))
    days_until = None if days is None or hours is None else min(day_of(days), day_of(hours))
    horizon = RollupCoverage(hours, days_until, sorted(stale))
    parts = horizon.parts(since, until)
    spans = sorted([*parts.days, *parts.hours, *parts.rows])
    if since < until:
        assert (spans[0][0], spans[-1][1]) == (since, until)
    assert all(one[1] == other[0] for one, other in pairwise(spans))
    for start, end in parts.days:
        assert (start, end) == (day_of(start), day_of(end))
        assert days_until is not None
        assert end <= days_until
    for start, end in (*parts.days, *parts.hours):
        assert hours is not None
        assert end <= hours
        assert not any(start <= hour < end for hour in stale)


@pytest.mark.django_db
class TestTheCommand:
    def run(self, *arguments: str) -> str:
        out = io.StringIO()
        call_command("rebuild_totals", *arguments, stdout=out, stderr=io.StringIO())
        return out.getvalue()

    def test_it_finds_and_mends_what_differs(self) -> None:
        make(40, around=datetime.now(UTC) - timedelta(hours=2))
        assert "add up to" in self.run("--update")
        # The rows were not written by the ledger, which keeps the daily totals.
        with pytest.raises(CommandError, match="totals differ"):
            self.run("--check")
        assert "add up to" in self.run()
        assert "add up to" in self.run("--check")
        day = DailyTotal.objects.first()
        assert day is not None
        day.cost += Decimal("0.0000000001")
        day.save()
        with pytest.raises(CommandError, match="1 total differs from its requests"):
            self.run("--check")
        assert "add up to" in self.run()
        assert DailyTotal.objects.get(pk=day.pk).cost == day.cost - Decimal("0.0000000001")
        DailyTotal.objects.create(
            date=day.date, provider="nobody", model="m", strategy="hybrid", requests=1
        )
        with pytest.raises(CommandError, match="1 total differs from its requests"):
            self.run("--check")
        self.run()
        wrong = HourlyRollup.objects.filter(dimension="user").first()
        wrong.cost += Decimal("0.0000000001")
        wrong.save()
        with pytest.raises(CommandError, match="totals differ"):
            self.run("--check")
        assert "add up to" in self.run()
        assert "add up to" in self.run("--check")


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has one writer at a time")
@pytest.mark.django_db(transaction=True)
def test_whoever_sums_waits_for_a_late_request_that_is_being_written() -> None:
    make(20)
    sum_up()
    marked, go_on = threading.Event(), threading.Event()

    def write_late() -> None:
        try:
            with transaction.atomic():
                RoutingMetricFactory(request__created_at=NOW - timedelta(days=2))
                mark_stale([NOW - timedelta(days=2)])
                marked.set()
                assert go_on.wait(10)
        finally:
            connections.close_all()

    mark_stale([NOW - timedelta(days=2)])
    writer = threading.Thread(target=write_late)
    writer.start()
    assert marked.wait(10)
    threading.Timer(0.3, go_on.set).start()
    sum_up()
    writer.join()
    sum_up()
    assert not StaleRollupHour.objects.exists()
    assert not list(totals_differ())


@pytest.mark.django_db
def test_several_dimensions_read_at_once_are_those_read_one_by_one() -> None:
    for hours in (0.5, 3, 30, 50):
        request = RequestRecordFactory(
            created_at=datetime.now(UTC) - timedelta(hours=hours), user_id="ann", tags=["a", "b"]
        )
        RoutingMetricFactory(request=request)
    for _ in totals_update():
        pass
    mark_late([datetime.now(UTC) - timedelta(hours=30)])
    since = datetime.now(UTC) - timedelta(hours=48)
    dimensions = ("strategy", "model", "group", "user", "tag")
    together = CachedSums.of([SumQuery(dimensions, since)])
    with CaptureQueriesContext(connection) as none:
        found = {name: together.by(name, since) for name in dimensions}
    assert not none.captured_queries
    assert found == {name: RECORDED.by(name, since) for name in dimensions}
