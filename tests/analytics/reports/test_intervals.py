"""How sure a total is: the interval of the savings."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.ledger.savings import cost_savings
from analytics.reports.intervals import GROUPS, total_interval
from tests.factories import RoutingMetricFactory

usd = st.decimals(-100, 100, places=10)


def groups_of(values: list[Decimal]) -> list[tuple[int, Decimal]]:
    """Each request a group of its own, or together with others where there are too many."""
    found: dict[int, list[Decimal]] = {}
    for place, value in enumerate(values):
        found.setdefault(place % GROUPS, []).append(value)
    return [(len(members), sum(members, Decimal(0))) for members in found.values()]


@given(st.lists(usd, min_size=30, max_size=80))
def test_the_total_lies_within(values: list[Decimal]) -> None:
    interval = total_interval(groups_of(values))
    assert interval is not None
    total = sum(values)
    # Bounds are binary fractions until they are written; the last place may differ.
    place = Decimal("1e-7")
    assert interval.low <= interval.high
    if interval.low != interval.high:
        assert interval.low - place <= total <= interval.high + place or len(set(values)) < 8


def test_savings_that_are_all_the_same_leave_no_doubt() -> None:
    interval = total_interval([(1, Decimal("0.0000450000"))] * 40)
    assert interval is not None
    assert interval.low == interval.high == Decimal("0.0018000000")


def test_a_few_requests_say_too_little() -> None:
    assert total_interval([]) is None
    assert total_interval([(1, Decimal(1))] * 29) is None


def test_the_same_log_always_has_the_same_interval() -> None:
    groups = groups_of([Decimal(n * n % 17) for n in range(200)])
    assert total_interval(groups) == total_interval(list(groups))


def test_more_requests_are_surer() -> None:
    rng = np.random.default_rng(3)
    widths = []
    for size in (100, 400, 1600):
        values = [Decimal(str(v)) for v in rng.exponential(1, size)]
        interval = total_interval(groups_of(values))
        assert interval is not None
        widths.append(float(interval.high - interval.low) / size)
    # Twice as sure a request for four times as many, give or take what chance does.
    assert 1.4 < widths[0] / widths[1] < 2.8
    assert 1.4 < widths[1] / widths[2] < 2.8


def test_skewed_savings_have_a_skewed_interval() -> None:
    rng = np.random.default_rng(5)
    values = [Decimal(str(v)) for v in rng.lognormal(0, 1.5, 200)]
    interval = total_interval(groups_of(values))
    assert interval is not None
    total = sum(values)
    assert interval.high - total > total - interval.low > 0


@pytest.mark.django_db
def test_it_is_taken_over_whole_pairs_in_the_database() -> None:
    for number in range(40):
        RoutingMetricFactory(
            request__cost=Decimal("0.1"), baseline_cost=Decimal("0.1") + Decimal(number % 5) / 10
        )
    RoutingMetricFactory(request__cost=None)
    savings = cost_savings(datetime.now(UTC) - timedelta(days=1))
    assert (savings["paired_requests"], savings["unpriced_requests"]) == (40, 1)
    assert savings["total_saved"] == Decimal("8.0")
    assert savings["saved_low"] < savings["total_saved"] < savings["saved_high"]
    # Forty savings of 0 to 0.4: a standard error of about 0.9 in all.
    assert Decimal(5) < savings["saved_low"] < Decimal(7)
    assert Decimal(9) < savings["saved_high"] < Decimal(11)
