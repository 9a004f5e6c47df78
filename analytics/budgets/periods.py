"""When a budget begins anew: calendar periods in a time zone, or steps of a rolling one."""

from __future__ import annotations

import zoneinfo
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db.models import Q

from analytics.models import Budget

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
STEPS = 120
"""Of a rolling period. What was spent in one is free again when all of it is old enough."""
_SHORT = {"minute": timedelta(minutes=1), "hour": timedelta(hours=1)}


@dataclass(frozen=True, slots=True)
class BudgetWindow:
    """``start`` is that of the period or step a request belongs to; what is spent from
    ``since`` on bears on it. Aware, UTC.
    """

    start: datetime
    since: datetime
    end: datetime

    @property
    def rolling(self) -> bool:
        """Whether earlier steps bear on it too."""
        return self.since < self.start

    def counts(self, start: datetime) -> bool:
        """Whether what began at ``start`` bears on it."""
        return start >= self.since if self.rolling else start == self.start

    @property
    def rows(self) -> Q:
        """The same, of rows by their column ``start``."""
        return Q(start__gte=self.since) if self.rolling else Q(start=self.start)


def window_at(budget: Budget, at: datetime) -> BudgetWindow:
    """The budget's window for a request asked at ``at`` (aware).

    A rolling one of W seconds takes in every step that any of the last W seconds
    is in, so no W seconds whatever see more than the limit spent.
    """
    if budget.period == Budget.Period.ROLLING:
        length = rolling_length(budget)
        step = length / STEPS
        start = _step_start(at, step)
        return BudgetWindow(start, _step_start(at - length, step), start + step)
    start = _period_start(budget, at)
    return BudgetWindow(start, start, _period_end(budget, start))


def rolling_length(budget: Budget) -> timedelta:
    """Of a rolling period."""
    return timedelta(minutes=budget.rolling_minutes or 1)


def windows_between(budget: Budget, first: datetime, last: datetime) -> Iterator[BudgetWindow]:
    """One after the other, from that of ``first`` to that of ``last`` (aware)."""
    window = window_at(budget, first)
    while window.start <= last:
        yield window
        window = window_at(budget, window.end)


def free_again(budget: Budget, start: datetime) -> datetime:
    """When what was spent in the step that began at ``start`` no longer bears on anything."""
    length = rolling_length(budget)
    # The first moment whose window begins with the next step.
    return start + length / STEPS + length


def _step_start(at: datetime, step: timedelta) -> datetime:
    return _EPOCH + (at - _EPOCH) // step * step


def _period_start(budget: Budget, at: datetime) -> datetime:
    zone = zoneinfo.ZoneInfo(budget.time_zone)
    local = at.astimezone(zone)
    if budget.period in _SHORT:
        into = timedelta(
            minutes=local.minute if budget.period == Budget.Period.HOUR else 0,
            seconds=local.second,
            microseconds=local.microsecond,
        )
        return (local.astimezone(UTC) - into).astimezone(UTC)
    day = local.date()
    if budget.period == Budget.Period.WEEK:
        day -= timedelta(days=day.weekday())
    elif budget.period == Budget.Period.MONTH:
        day = day.replace(day=1)
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)


def _period_end(budget: Budget, start: datetime) -> datetime:
    if budget.period in _SHORT:
        return start + _SHORT[budget.period]
    days = {"day": 1, "week": 7, "month": 31}[budget.period]
    # Half a day more, as a day may have 25 hours; the start of the period that this is in.
    return _period_start(budget, start + timedelta(days=days, hours=12))
