"""How many clients' requests a model on trial may answer: taken in lots, never exceeded."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, datetime, timedelta

from django.db.models import F, QuerySet, Sum

from analytics.models import AutopilotTrial, AutopilotUse

_LOT_SHARE = 8


def uses_take(trial: int, today: date) -> int:
    """Take a lot of the requests that are left today, and return its size.

    What a worker does not use is lost, so that the number is never exceeded.
    """
    row = AutopilotUse.objects.filter(trial_id=trial, day=today).first()
    if row is None or row.taken >= row.allowed:
        return 0
    lot = max(1, (row.allowed - row.taken) // _LOT_SHARE)
    free = AutopilotUse.objects.filter(pk=row.pk, taken__lte=F("allowed") - lot)
    return lot if free.update(taken=F("taken") + lot) else 0


def uses_allow(trial: AutopilotTrial, today: date, more: int) -> None:
    """Allow ``more`` requests today beyond those that were taken."""
    row, _ = AutopilotUse.objects.get_or_create(trial=trial, day=today)
    AutopilotUse.objects.filter(pk=row.pk).update(allowed=F("taken") + max(0, more))


def uses_taken(trial: AutopilotTrial, since: date | None = None) -> int:
    """Return how many requests were taken for a trial, since a day or at all times."""
    rows = AutopilotUse.objects.filter(trial=trial)
    if since is not None:
        rows = rows.filter(day__gte=since)
    total: int = rows.aggregate(n=Sum("taken", default=0))["n"]
    return total


def uses_taken_of(trials: Collection[int]) -> dict[int, int]:
    """Return how many requests were taken for each of these trials that was given any."""
    return _taken(AutopilotUse.objects.filter(trial__in=trials))


def uses_taken_since(since: date) -> dict[int, int]:
    """Return how many requests were taken since a day for each trial that was given any."""
    return _taken(AutopilotUse.objects.filter(day__gte=since))


def _taken(rows: QuerySet[AutopilotUse]) -> dict[int, int]:
    return dict(rows.order_by().values_list("trial_id").annotate(n=Sum("taken", default=0)))


def month_of_day(now: datetime) -> date:
    """Return the first day of the month (UTC), from which monthly budgets count."""
    return now.date().replace(day=1)


def day_start(now: datetime) -> datetime:
    """Return when the UTC day began."""
    return now.replace(hour=0, minute=0, second=0, microsecond=0)


def month_start(now: datetime) -> datetime:
    """Return when the UTC month began."""
    return day_start(now) - timedelta(days=now.day - 1)
