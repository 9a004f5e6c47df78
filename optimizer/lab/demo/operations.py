"""What the operators of the made-up company have set up: teams, keys, budgets, an experiment."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from statistics import median

from django.db.models import OuterRef, Subquery

from analytics.access.keys import key_make, tenant_of
from analytics.budgets.periods import window_at
from analytics.experiments import experiment_start, experiment_stop
from analytics.models import (
    Alert,
    AlertRule,
    ApiKey,
    Budget,
    BudgetMark,
    BudgetUsage,
    DailyTotal,
    Experiment,
    Feedback,
    Project,
    RequestRecord,
    Team,
)
from analytics.money import MoneySum, dollars
from optimizer.domain.client import Client
from optimizer.lab.demo.company import TEAMS
from optimizer.lab.demo.traffic import Turning

_CENT = Decimal("0.01")
_MARKS = 100
_UNUSUAL = Decimal(3)
_BUDGETS: tuple[tuple[str, str, str, Decimal], ...] = (
    # Name, scope, subject, and how much of it is used up now.
    ("Everything, a month", Budget.Scope.EVERYTHING, "", Decimal("0.71")),
    ("Engineering, a month", Budget.Scope.TEAM, "Engineering", Decimal("0.94")),
    ("Customer care, a month", Budget.Scope.TEAM, "Customer care", Decimal("0.58")),
)


def operations_prepare() -> Mapping[str, Client]:
    """Create teams, keys, budgets and the alert rule; return the client of each application."""
    clients: dict[str, Client] = {}
    for team in TEAMS:
        row = Team.objects.create(name=team.name)
        for app in team.apps:
            project = Project.objects.create(name=app, team=row, tags=[])
            key = key_make(ApiKey(name=app, team=row, project=project)).key
            clients[app] = Client(key=key.prefix, tenant=tenant_of(key), project=app)
    for name, scope, subject, _ in _BUDGETS:
        # The limit follows from what is spent, once that is known.
        Budget.objects.create(name=name, scope=scope, subject=subject, limit=Decimal(1))
    AlertRule.objects.create(
        name="An unusually dear day", metric=AlertRule.Metric.SPEND, limit=Decimal(1),
        period=AlertRule.Period.DAY, emails="finance@example.com",
    )  # fmt: skip
    return clients


def operations_turnings(now: datetime, days: int) -> list[Turning]:
    """Return the beginning and the end of the company's experiment."""
    experiment = Experiment(
        name="learned-routing",
        note="Is learned routing as good as routing by complexity, and what does it cost?",
        unit=Experiment.Unit.REQUEST,
        control="complexity",
        treatment="hybrid",
        planned_units=1000,
    )
    starts, ends = now - timedelta(days=days * 0.7), now - timedelta(days=days * 0.3)
    return [
        Turning(starts, partial(_experiment_begins, experiment, starts)),
        Turning(ends, partial(_experiment_ends, experiment, ends)),
    ]


def _experiment_begins(experiment: Experiment, at: datetime) -> None:
    experiment.save()
    experiment_start(experiment)
    Experiment.objects.filter(pk=experiment.pk).update(created_at=at, started_at=at)


def _experiment_ends(experiment: Experiment, at: datetime) -> None:
    experiment_stop(experiment, "Ended by an operator: the answer is clear.")
    Experiment.objects.filter(pk=experiment.pk).update(ended_at=at)


def operations_finish(now: datetime) -> None:
    """Set what follows from the traffic: limits, marks of budgets, alerts, times of ratings."""
    for name, _, _, used in _BUDGETS:
        _limit_budget(Budget.objects.get(name=name), used, now)
    _raise_alerts(now)
    asked = RequestRecord.objects.filter(pk=OuterRef("request_id")).values("created_at")
    Feedback.objects.filter(request__isnull=False).update(created_at=Subquery(asked))


def _limit_budget(budget: Budget, used: Decimal, now: datetime) -> None:
    window = window_at(budget, now)
    usage = BudgetUsage.objects.filter(account__budget=budget, start=window.start).first()
    if usage is None or not usage.spent:  # a month that has just begun
        Budget.objects.filter(pk=budget.pk).update(limit=Decimal(100))
        return
    limit = max((usage.spent / used).quantize(_CENT), _CENT)
    Budget.objects.filter(pk=budget.pk).update(limit=limit)
    rows = RequestRecord.objects.filter(created_at__gte=window.start, cost__gt=0)
    if budget.subject:
        rows = rows.filter(tenant=f"team:{budget.subject}")
    spent, marked, marks = Decimal(0), Decimal(0), []
    for at, cost in rows.order_by("created_at").values_list("created_at", "cost"):
        spent += cost
        if spent - marked >= limit / _MARKS:
            marked = spent
            marks.append(BudgetMark(account=usage.account, start=window.start, at=at, spent=spent))
    BudgetMark.objects.bulk_create(marks, ignore_conflicts=True)


def _raise_alerts(now: datetime) -> None:
    """Raise the alerts of all days as if the rule had been watched all the time."""
    days = DailyTotal.objects.values("date").annotate(all=MoneySum("cost")).order_by("date")
    spent = {row["date"]: row["all"] for row in days}
    rule = AlertRule.objects.get()
    rule.limit = max((median(spent.values()) * _UNUSUAL).quantize(_CENT), _CENT)
    rule.save()
    for day, amount in spent.items():
        raised_at = datetime(day.year, day.month, day.day, 21, tzinfo=UTC)
        if amount > rule.limit and raised_at < now:
            reading = f"spent {dollars(amount)}, limit {dollars(rule.limit)} (since {day}, UTC)."
            Alert.objects.create(
                rule=rule, period_start=day, raised_at=raised_at, notified=True,
                resolved_at=raised_at + timedelta(hours=3), value=amount,
                text=f"{rule.name}: {reading}",
            )  # fmt: skip
