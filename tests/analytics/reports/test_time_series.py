"""A period step by step: what its charts show is what its reports say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import given
from hypothesis import strategies as st

from analytics.ledger.rollups import mark_stale, totals_rebuild, totals_update
from analytics.ledger.savings import cost_savings
from analytics.reports.figures import saved_of
from analytics.reports.sum_sources import RECORDED, total_of
from analytics.reports.time_series import Steps, time_series
from tests.analytics.ledger.test_rollups import NOW, make
from tests.factories import ComparisonFactory, FeedbackFactory, RoutingMetricFactory

_DAY = timedelta(days=1)
_MOMENTS = st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))


@given(_MOMENTS, st.timedeltas(timedelta(seconds=1), timedelta(days=400)))
def test_steps_cover_their_period_and_no_more(since: datetime, length: timedelta) -> None:
    until = since + length
    steps = Steps.of(since, until)
    assert steps.starts[0] <= since
    assert steps.starts[-1] < until
    assert len(steps.starts) <= 49
    longest = {"hour": timedelta(hours=1), "day": _DAY, "week": 7 * _DAY, "month": 31 * _DAY}
    gaps = [after - before for before, after in pairwise(steps.starts)]
    assert all(gap <= longest[steps.kind] for gap in gaps)
    assert until - steps.starts[-1] <= longest[steps.kind]
    assert all(start.minute == start.second == start.microsecond == 0 for start in steps.starts)
    if steps.kind == "week":
        assert all(start.weekday() == 0 for start in steps.starts)


@pytest.mark.django_db
@pytest.mark.parametrize("days", [1, 5, 300])
@pytest.mark.parametrize("summed", [False, True])
def test_the_steps_add_up_to_the_report(days: int, summed: bool) -> None:
    make(60)
    make(20, seed=2, around=NOW - timedelta(days=days))
    if summed:
        list(totals_update(NOW - timedelta(hours=3)))
    since, before = NOW - timedelta(days=days), NOW - timedelta(days=2 * days)
    found = time_series(since, NOW, before)
    report = total_of(RECORDED.by("strategy", since, NOW))
    earlier = total_of(RECORDED.by("strategy", before, since))
    for figure in ("requests", "failed", "cost", "routing_saved", "cache_hits"):
        assert sum(step[figure] for step in found.totals) == report[figure]
        for dimension in ("model", "strategy"):
            steps = found.by[dimension].values()
            assert sum(step[figure] for one in steps for step in one) == report[figure]
    assert sum(found.saved) == cost_savings(since, NOW)["total_saved"]
    if days < 45:  # weeks and months do not fall on each other
        assert sum(step["cost"] for step in found.before) == earlier["cost"]
    assert len({len(found.totals), len(found.before), len(found.intervals)}) == 1


@pytest.mark.django_db
def test_a_step_s_interval_is_that_of_its_savings() -> None:
    for n in range(40):
        RoutingMetricFactory(
            request__created_at=NOW - timedelta(hours=n % 4), request__cost=Decimal("0.01"),
            actual_cost=Decimal("0.01"), baseline_cost=Decimal(n) / 100,
            routing_saved=Decimal(n) / 100 - Decimal("0.01"), cache_saved=Decimal(0),
        )  # fmt: skip
    ComparisonFactory(created_at=NOW, judge_cost=Decimal("0.5"), answer_cost=Decimal("0.25"))
    found = time_series(NOW - 3 * _DAY, NOW + timedelta(hours=1), NOW - 6 * _DAY)
    whole = cost_savings(NOW.replace(hour=0, minute=0), NOW + timedelta(hours=1))
    last = found.intervals[-1]
    assert last.low is not None
    assert (last.low, last.high) == (whole["saved_low"], whole["saved_high"])
    assert found.saved[-1] == whole["total_saved"] == saved_of(found.totals[-1]) - Decimal("0.75")
    assert found.intervals[0].low is None


@pytest.mark.django_db
def test_quality_is_told_step_by_step() -> None:
    for n in range(30):
        ComparisonFactory(created_at=NOW, score=1.0, reference_score=0.5 + 0.5 * (n % 2))
        FeedbackFactory(request__created_at=NOW - _DAY, score=n % 2)
    found = time_series(NOW - 3 * _DAY, NOW + timedelta(hours=1), NOW - 6 * _DAY).quality
    assert found[-1].difference.mean == 0.25
    assert found[-1].difference.low is not None
    assert found[-1].difference.low < 0.25
    assert found[-2].rated.mean == 0.5
    assert found[0].difference.mean is found[0].rated.mean is None


@pytest.mark.django_db
@pytest.mark.parametrize("days", [1, 30, 90, 366])
def test_any_length_takes_as_many_queries(days: int) -> None:
    make(10)
    list(totals_update(NOW))
    with CaptureQueriesContext(connection) as queries:
        time_series(NOW - timedelta(days=days), NOW, NOW - timedelta(days=2 * days))
    assert len(queries) <= 8


def _hour_of_requests(at: datetime, saved: Decimal) -> None:
    for n in range(40):
        RoutingMetricFactory(
            request__created_at=at, request__cost=Decimal("0.01"), actual_cost=Decimal("0.01"),
            baseline_cost=saved + n % 5, routing_saved=saved + n % 5 - Decimal("0.01"),
            cache_saved=Decimal(0),
        )  # fmt: skip


@pytest.mark.django_db
def test_intervals_of_summed_steps_are_computed_once() -> None:
    for n in range(6):
        _hour_of_requests(NOW - timedelta(hours=n), Decimal(3))
    list(totals_update(NOW + timedelta(hours=3)))
    period = (NOW - timedelta(hours=6), NOW, NOW - timedelta(hours=12))
    first = time_series(*period)
    with CaptureQueriesContext(connection) as queries:
        assert time_series(*period).intervals == first.intervals
    assert [step.low is not None for step in first.intervals].count(True) >= 5
    groups = [query["sql"] for query in queries if "'sessions'" in query["sql"]]
    assert not groups or "hourly_totals" not in groups[0]


@pytest.mark.django_db
@pytest.mark.parametrize("rebuilt", [False, True])
def test_intervals_of_a_step_follow_sums_that_are_written_anew(rebuilt: bool) -> None:
    hour = NOW.replace(minute=0, second=0, microsecond=0) - timedelta(hours=3)
    _hour_of_requests(hour, Decimal(3))
    list(totals_update(NOW + timedelta(hours=3)))
    period = (hour, hour + timedelta(hours=2), hour - timedelta(hours=2))
    before = time_series(*period).intervals[0]
    _hour_of_requests(hour, Decimal(7))
    if rebuilt:
        list(totals_rebuild())
    else:
        mark_stale([hour])
        marked = time_series(*period).intervals[0]
        list(totals_update(NOW + timedelta(hours=3)))
    after = time_series(*period).intervals[0]
    assert before.low is not None
    assert after.low is not None
    assert after.low > before.low
    assert rebuilt or marked == after
    whole = cost_savings(hour, hour + timedelta(hours=1))
    assert (after.low, after.high) == (whole["saved_low"], whole["saved_high"])
