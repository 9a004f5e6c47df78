"""Budgets as operators see them: the admin's pages and the command."""

from __future__ import annotations

import io
import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from analytics.budgets.claims import Charge, Claim, Cost, Payer
from analytics.budgets.holding import book, hold
from analytics.budgets.report import standings
from analytics.models import Budget, BudgetHold, BudgetUsage
from tests.factories import BudgetFactory, RequestRecordFactory

pytestmark = pytest.mark.django_db


def spend(user: str, amount: str, *, held: str = "0") -> None:
    """One request that is over, and one under way."""
    now = datetime.now(UTC)
    book([Cost(uuid.uuid4(), now, Payer(user=user), (Charge("p", "m", Decimal(amount)),))])
    if Decimal(held):
        charges = (Charge("p", "m", Decimal(held)),)
        hold([Claim(uuid.uuid4(), now, Payer(user=user), charges, "p/m", "worker")])


def run(*args: str) -> str:
    out = io.StringIO()
    call_command("budgets", *args, stdout=out)
    return out.getvalue()


def test_standings_say_what_is_spent_held_lost_and_left() -> None:
    budget = BudgetFactory(scope="user", limit=Decimal(1))
    spend("ann", "0.25", held="0.5")
    spend("bob", "0.1")
    BudgetHold.objects.update(lost_at=datetime.now(UTC))
    ann, bob = standings([budget])
    assert (ann.subject, ann.spent, ann.held, ann.lost) == (
        "ann", Decimal("0.25"), Decimal("0.5"), Decimal("0.5"),
    )  # fmt: skip
    assert (ann.left, ann.used_percent) == (Decimal("0.25"), 75.0)
    assert bob.left == Decimal("0.9")
    (most,) = standings([budget], most=1)
    assert most.subject == "ann"
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    assert standings([budget], now=tomorrow) == []


def test_a_rolling_budget_stands_at_what_its_length_saw() -> None:
    budget = BudgetFactory(period="rolling", rolling_minutes=120)
    now = datetime.now(UTC)
    for minutes, amount in ((0, "0.1"), (60, "0.2"), (180, "0.4")):
        at = now - timedelta(minutes=minutes)
        book([Cost(uuid.uuid4(), at, Payer(), (Charge("p", "m", Decimal(amount)),))])
    (found,) = standings([budget], now=now)
    assert (found.spent, found.ends_at) == (Decimal("0.3"), None)


def test_the_command_makes_changes_and_shows_budgets() -> None:
    assert "There are no budgets" in run()
    RequestRecordFactory(user_id="ann", cost=Decimal("0.5"))
    shown = run(
        "add", "users", "--scope", "user", "--limit", "2", "--soft", "1", "--period", "month",
        "--zone", "Europe/Berlin", "--downgrade",
    )  # fmt: skip
    assert "user ann" in shown
    assert "$0.500000" in shown
    budget = Budget.objects.get()
    assert (budget.limit, budget.soft_limit, budget.at_limit) == (2, 1, "downgrade")
    run("change", "users", "--limit", "3", "--off", "--refuse")
    budget.refresh_from_db()
    assert (budget.limit, budget.soft_limit, budget.enabled) == (3, 1, False)
    assert budget.at_limit == "refuse"
    assert "(off)" in run()
    run("add", "burst", "--rolling", "60", "--limit", "1")
    assert Budget.objects.get(name="burst").rolling_minutes == 60


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("add", "x"), "limit"),
        (("add", "x", "--limit", "much"), "--limit must be an amount"),
        (("add", "x", "--limit", "1", "--zone", "Nowhere"), "time_zone"),
        (("change", "x", "--limit", "1"), "There is no budget 'x'"),
        (("add", "x", "--limit", "1", "--rolling", "0"), "rolling_minutes"),
    ],
)
def test_the_command_says_what_is_wrong(args: tuple[str, ...], says: str) -> None:
    with pytest.raises(CommandError, match=says):
        run(*args)


def test_examples_stand_in_the_help_as_they_are_written(capsys: Any) -> None:
    with pytest.raises(SystemExit):
        call_command("budgets", "--help")
    shown = capsys.readouterr().out
    assert "\n  manage.py budgets change all --off " in shown


def test_a_budget_is_made_and_changed_in_the_admin(admin_client: Client) -> None:
    RequestRecordFactory(cost=Decimal("0.5"))
    form = {
        "name": "all", "enabled": "on", "scope": "everything", "period": "month",
        "time_zone": "UTC", "limit": "2", "at_limit": "refuse",
    }  # fmt: skip
    wrong = admin_client.post(reverse("admin:analytics_budget_add"), {**form, "limit": ""})
    assert "Give a limit, a soft limit or both." in wrong.content.decode()
    admin_client.post(reverse("admin:analytics_budget_add"), form)
    budget = Budget.objects.get()
    assert BudgetUsage.objects.get().spent == Decimal("0.5")
    page = reverse("admin:analytics_budget_change", args=[budget.pk])
    assert "$1.50" in admin_client.get(page).content.decode()
    changed = {**form, "limit": "3", "scope": "user", "period": "day"}
    admin_client.post(page, changed)
    before = budget.changed_at
    budget.refresh_from_db()
    # What it counts stays as it is.
    assert (budget.limit, budget.scope, budget.period) == (3, "everything", "month")
    assert budget.changed_at > before
    listed = admin_client.get(reverse("admin:analytics_budget_changelist")).content.decode()
    assert "<meter" in listed
    deletion = reverse("admin:analytics_budget_delete", args=[budget.pk])
    assert admin_client.post(deletion).status_code == 403


def test_what_was_lost_is_given_back_in_the_admin_and_nothing_else(admin_client: Client) -> None:
    BudgetFactory(limit=Decimal(9))
    spend("ann", "0", held="1")
    spend("ann", "0", held="2")
    lost = BudgetHold.objects.get(amount=1)
    BudgetHold.objects.filter(pk=lost.pk).update(lost_at=datetime.now(UTC))
    chosen = list(BudgetHold.objects.values_list("pk", flat=True))
    answer = admin_client.post(
        reverse("admin:analytics_budgethold_changelist"),
        {"action": "release_lost", "_selected_action": chosen},
        follow=True,
    )
    assert "1 released" in answer.content.decode()
    assert BudgetHold.objects.get().amount == 2
