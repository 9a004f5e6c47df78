"""How budgets are used up: marked as it happens, drawn on the home and on a budget's page."""

from __future__ import annotations

import json
import re
import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as st

from analytics.budgets.burn_down import burn_downs
from analytics.budgets.claims import Charge, Cost, Payer
from analytics.budgets.holding import book
from analytics.budgets.marking import budgets_mark
from analytics.budgets.periods import window_at
from analytics.budgets.report import AccountStanding, standings
from analytics.models import Budget, BudgetMark
from tests.factories import BudgetFactory
from tests.optimizer.control_room.test_budget_pages import spend

pytestmark = pytest.mark.django_db
NOW = datetime.now(UTC)


def left(budget: Budget) -> list[str]:
    (plot,) = burn_downs(standings([budget]), NOW)
    return [amount for _, amount in plot["points"]]


def test_it_is_marked_when_a_hundredth_of_the_limit_is_gone() -> None:
    budget = BudgetFactory(limit=Decimal(1), period="month")
    assert budgets_mark() == 0
    for amount, marked in (("0.2", 1), ("0.005", 0), ("0.005", 1), ("0.3", 1)):
        spend("ann", amount)
        assert budgets_mark() == marked
        assert budgets_mark() == 0
    expected = ["1", "0.8", "0.79", "0.49", "0.49"]
    assert [Decimal(amount) for amount in left(budget)] == [Decimal(one) for one in expected]


def test_everybody_s_own_is_marked_on_its_own() -> None:
    budget = BudgetFactory(scope="user", limit=Decimal(1), period="month")
    spend("ann", "0.2")
    spend("bob", "0.5")
    assert budgets_mark() == 2
    spend("ann", "0.4")
    assert budgets_mark() == 1
    ann, bob = burn_downs(standings([budget]), NOW)
    assert (ann["name"], bob["name"]) == (f"{budget}: ann", f"{budget}: bob")
    assert [Decimal(amount) for _, amount in ann["points"]] == [
        Decimal(1), Decimal("0.8"), Decimal("0.4"), Decimal("0.4"),
    ]  # fmt: skip


def test_a_new_period_begins_whole() -> None:
    budget = BudgetFactory(limit=Decimal(1), period="day")
    spend("ann", "0.2")
    budgets_mark()
    tomorrow = NOW + timedelta(days=1)
    (plot,) = burn_downs(standings([budget], now=tomorrow), tomorrow)
    assert [Decimal(amount) for _, amount in plot["points"]] == [Decimal(1), Decimal(1)]


def test_without_a_hard_limit_the_soft_one_is_drawn_and_without_any_nothing() -> None:
    BudgetFactory(limit=Decimal(0))
    soft = BudgetFactory(limit=None, soft_limit=Decimal(2), period="month")
    spend("ann", "0.5")
    assert budgets_mark() == 1
    (plot,) = burn_downs(standings(Budget.objects.all()), NOW)
    assert (plot["name"], Decimal(plot["limit"])) == (str(soft), 2)


@given(
    st.lists(st.tuples(st.integers(0, 7199), st.decimals("0.001", "0.03", places=3)), max_size=12)
)
def test_a_rolling_one_gives_back_what_it_took_and_is_whole_again(
    costs: list[tuple[int, Decimal]],
) -> None:
    Budget.objects.all().delete()
    long_ago = NOW - timedelta(days=2)
    budget = BudgetFactory(
        limit=Decimal(1), period="rolling", rolling_minutes=60, created_at=long_ago
    )
    asked = [(NOW - timedelta(seconds=seconds), amount) for seconds, amount in costs]
    ann = Payer(user="ann")
    book([Cost(uuid.uuid4(), at, ann, (Charge("p", "m", amount),)) for at, amount in asked])
    assert budgets_mark(NOW) == 0

    def left(at: datetime) -> Decimal:
        window = window_at(budget, at)
        steps = ((window_at(budget, then).start, amount) for then, amount in asked)
        return 1 - sum(amount for start, amount in steps if window.since <= start <= window.start)

    (plot,) = burn_downs(standings([budget], now=NOW), NOW)
    # Between two points that are the same nothing moved, and a step ends where the next begins.
    before = timedelta(microseconds=1)
    for at, amount in plot["points"][:-1]:
        assert Decimal(amount) == left(datetime.fromisoformat(at) - before)
    for at, amount in [plot["points"][-1], *plot["ahead"]]:
        assert Decimal(amount) == left(datetime.fromisoformat(at))
    assert plot["start"] == (NOW - timedelta(hours=1)).isoformat()
    assert Decimal(plot["ahead"][-1][1]) == 1
    assert plot["ahead"][-1][0] == plot["end"]
    assert (plot["rolling"], plot["runs_out"]) == (True, None)


def test_a_rolling_one_is_drawn_from_when_it_was_made() -> None:
    budget = BudgetFactory(period="rolling", rolling_minutes=60, created_at=NOW)
    (plot,) = burn_downs(standings([budget], now=NOW), NOW)
    assert [at for at, _ in plot["points"]] == [NOW.isoformat()]


@given(st.lists(st.decimals("0.0001", "0.5", places=4), max_size=12))
def test_however_it_is_spent_a_period_has_few_marks_and_they_only_fall(
    amounts: list[Decimal],
) -> None:
    BudgetMark.objects.all().delete()
    Budget.objects.all().delete()
    budget = BudgetFactory(limit=Decimal(1), period="month")
    for amount in amounts:
        spend("ann", str(amount))
        budgets_mark()
    points = [Decimal(amount) for amount in left(budget)]
    assert points == sorted(points, reverse=True)
    assert points[-1] == 1 - sum(amounts)
    assert BudgetMark.objects.count() <= 1 + 100 * sum(amounts)


def test_at_this_pace_is_said_with_it() -> None:
    noon = datetime(2026, 3, 4, 12, tzinfo=UTC)
    budget = BudgetFactory(period="day", limit=Decimal(10))
    (plot,) = burn_downs([AccountStanding(budget, "", window_at(budget, noon), Decimal(8))], noon)
    assert plot["runs_out"] == "2026-03-04T15:00:00+00:00"
    assert plot["ahead"][-1] == ("2026-03-04T15:00:00+00:00", "0")
    assert (plot["start"], plot["end"]) == (
        "2026-03-04T00:00:00+00:00", "2026-03-05T00:00:00+00:00",
    )  # fmt: skip


def test_what_lasts_is_drawn_to_the_end_of_its_period() -> None:
    noon = datetime(2026, 3, 4, 12, tzinfo=UTC)
    budget = BudgetFactory(period="day", limit=Decimal(10))
    (plot,) = burn_downs([AccountStanding(budget, "", window_at(budget, noon), Decimal(4))], noon)
    assert [(at, Decimal(amount)) for at, amount in plot["ahead"]] == [
        ("2026-03-04T12:00:00+00:00", 6), ("2026-03-05T00:00:00+00:00", 2),
    ]  # fmt: skip


def test_it_is_on_the_home_and_on_the_budget_s_page(admin_client: Client) -> None:
    budget = BudgetFactory(limit=Decimal(1), period="month")
    spend("ann", "0.25")
    budgets_mark()
    page = reverse("admin:analytics_budget_change", args=[budget.pk])
    (plot,) = admin_client.get(reverse("admin:charts")).json()["budgets"]
    assert plot["page"] == page
    (drawn,) = re.findall(
        r'<script type="application/json">(.*?)</script>', admin_client.get(page).content.decode()
    )
    assert json.loads(drawn)["points"][:-1] == plot["points"][:-1]


def test_many_accounts_take_no_more_queries() -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as found:
            budgets_mark()
        return len(found)

    BudgetFactory(scope="user", limit=Decimal(1), period="month")
    spend("ann", "0.5")
    before = queries()
    for n in range(8):
        spend(f"user {n}", "0.5")
    assert queries() == before
