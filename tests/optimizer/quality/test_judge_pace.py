"""The judge's budget lasts all day."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from optimizer.quality.judge_pace import JudgePace
from tests.factories import ComparisonFactory, DailyTotalFactory

pytestmark = pytest.mark.django_db
MIDNIGHT = datetime(2026, 11, 20, tzinfo=UTC)
D = Decimal


def yesterday(requests: int, cost: str) -> None:
    day = MIDNIGHT - timedelta(days=1)
    DailyTotalFactory(date=day.date(), requests=requests, errors=0, cache_hits=0)
    ComparisonFactory.create_batch(
        4, created_at=day, judge_cost=D(cost) / 2, answer_cost=D(cost) / 2
    )


def test_the_share_is_what_the_budget_can_pay_for_at_all_hours() -> None:
    yesterday(1000, "0.01")
    # A tenth of a thousand requests at a cent each: a dollar; half a dollar pays for 45 of 100.
    pace = JudgePace(0.1, D("0.5"))
    shares = [pace.now(MIDNIGHT + timedelta(hours=hour)).share for hour in range(24)]
    assert shares == pytest.approx([0.45] * 24)


def test_answers_that_cannot_be_judged_are_not_planned_for() -> None:
    yesterday(1000, "0.01")
    pace = JudgePace(0.1, D("0.5"))
    for n in range(99):
        pace.sampled(suitable=n < 9)  # the others have tools
    assert pace.now(MIDNIGHT).share == 1.0


def test_a_budget_that_suffices_thins_nothing() -> None:
    yesterday(100, "0.01")
    assert JudgePace(0.1, D(1)).now(MIDNIGHT).share == 1.0


def test_the_first_day_has_nothing_to_plan_by() -> None:
    assert JudgePace(1.0, D(1)).now(MIDNIGHT).share == 1.0


def test_an_hour_leaves_the_later_ones_their_part() -> None:
    pace = JudgePace(1.0, D("2.4"))
    ComparisonFactory(created_at=MIDNIGHT, judge_cost=D("0.25"), answer_cost=D(0))
    spent = [pace.now(MIDNIGHT + timedelta(hours=hour)).spent for hour in range(4)]
    assert spent == [True, True, False, False]


def test_what_costs_nothing_plans_nothing() -> None:
    yesterday(1000, "0")
    assert JudgePace(0.5, D("0.1")).now(MIDNIGHT).share == 1.0
