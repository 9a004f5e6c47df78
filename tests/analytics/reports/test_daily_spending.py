"""Daily costs: the month's forecast, and days that were unusually dear."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from analytics.models import DailyTotal
from analytics.reports.daily_spending import DailySpending
from optimizer.control_room.pages.home.headline import sparkline

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def spending(**by_day: str) -> DailySpending:
    """Costs by day of November ("d3" is the third), of one model."""
    costs = {date(2026, 11, int(name[1:])): Decimal(cost) for name, cost in by_day.items()}
    return DailySpending(costs, {day: {("p", "m"): cost} for day, cost in costs.items()})


def every_day(cost: str, first: int = 1, last: int = 20) -> dict[str, str]:
    return {f"d{day}": cost for day in range(first, last + 1)}


def test_a_steady_month_goes_on_as_it_was() -> None:
    forecast = spending(**every_day("2"), d21="1").forecast(NOON)
    assert forecast is not None
    assert forecast.spent == 41
    # Half of today and nine more days at two dollars.
    assert forecast.expected == 41 + Decimal("9.5") * 2


def test_the_pace_is_that_of_the_last_week() -> None:
    costs = {**every_day("100", last=13), **every_day("7", first=14)}
    forecast = spending(**costs).forecast(NOON)
    assert forecast is not None
    assert forecast.expected == forecast.spent + Decimal("9.5") * 7


def test_days_before_the_first_request_do_not_slow_the_pace_down() -> None:
    forecast = spending(d19="4", d20="6").forecast(NOON)
    assert forecast is not None
    assert forecast.expected == 10 + Decimal("9.5") * 5
    assert spending(d21="5").forecast(NOON) is None
    assert spending().forecast(NOON) is None


def test_only_days_far_above_the_median_are_unusual() -> None:
    costs = {**every_day("2"), "d12": "9", "d15": "5"}
    (unusual,) = spending(**costs).unusual(date(2026, 11, 1), date(2026, 11, 20))
    assert (unusual.day, unusual.cost, unusual.times) == (date(2026, 11, 12), 9, 4.5)
    assert (unusual.provider, unusual.model) == ("p", "m")
    # A week of traffic is needed to know what is usual.
    early = {**every_day("2", last=5), "d6": "50"}
    assert spending(**early).unusual(date(2026, 11, 1), date(2026, 11, 20)) == []


@pytest.mark.django_db
def test_costs_of_all_days_are_read_in_one_query() -> None:
    today = datetime.now(UTC).date()
    for ago, model, cost in ((0, "a", "1"), (0, "b", "2"), (3, "a", "4"), (90, "a", "8")):
        DailyTotal.objects.create(
            date=today - timedelta(days=ago), provider="p", model=model, strategy="hybrid",
            cost=Decimal(cost), requests=1,
        )  # fmt: skip
    with CaptureQueriesContext(connection) as queries:
        read = DailySpending.since(today - timedelta(days=10))
    assert len(queries) == 1
    assert read.days(today - timedelta(days=3), today) == [
        (today - timedelta(days=3), 4), (today - timedelta(days=2), 0),
        (today - timedelta(days=1), 0), (today, 3),
    ]  # fmt: skip


def test_a_line_of_costs_says_in_words_what_it_shows() -> None:
    days = spending(d1="1", d2="4", d3="2").days(date(2026, 11, 1), date(2026, 11, 3))
    line = sparkline(days)
    assert line is not None
    assert line.points == "3.0,34.5 120.0,3.0 237.0,24.0"
    assert line.label == "Spent by day, Nov 1 to Nov 3; most on Nov 2: $4.00"
    assert sparkline(days[:1]) is None
    assert sparkline([(day, Decimal(0)) for day, _ in days]) is None
