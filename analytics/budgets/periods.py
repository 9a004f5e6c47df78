"""When a budget resets: calendar periods in a time zone, or the steps of a rolling period."""

from __future__ import annotations

import zoneinfo
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db.models import Q

from analytics.models import Budget

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
STEPS = 120
"""Steps of a rolling period. What a step spent leaves the period when the whole step is too old."""
_SHORT = {"minute": timedelta(minutes=1), "hour": timedelta(hours=1)}


@dataclass(frozen=True, slots=True)
class BudgetWindow:
    """The time over which spending counts against the limit; aware, UTC.

    ``start`` and ``end`` are those of the period, or rolling step, that a request
    belongs to. Everything spent from ``since`` on counts.
    """

    start: datetime
    since: datetime
    end: datetime

    @property
    def rolling(self) -> bool:
        """Return whether earlier steps count too."""
        return self.since < self.start

    def counts(self, start: datetime) -> bool:
        """Return whether the period or step that began at ``start`` counts."""
        return start >= self.since if self.rolling else start == self.start

    @property
    def rows(self) -> Q:
        """Return a filter for rows that count, by their column ``start``."""
        return Q(start__gte=self.since) if self.rolling else Q(start=self.start)


def window_at(budget: Budget, at: datetime) -> BudgetWindow:
    """Return the budget's window for a request made at ``at`` (aware).

    A rolling window of W seconds includes every step that any of the last W seconds
    falls in, so that spending in any W seconds never passes the limit.
    """
    if budget.period == Budget.Period.ROLLING:
        length = rolling_length(budget)
        step = length / STEPS
        start = _step_start(at, step)
        return BudgetWindow(start, _step_start(at - length, step), start + step)
    start = _period_start(budget, at)
    return BudgetWindow(start, start, _period_end(budget, start))


def rolling_length(budget: Budget) -> timedelta:
    """Return the length of a rolling period."""
    return timedelta(minutes=budget.rolling_minutes or 1)


def windows_between(budget: Budget, first: datetime, last: datetime) -> Iterator[BudgetWindow]:
    """Yield the windows in order, from that of ``first`` to that of ``last`` (aware)."""
    window = window_at(budget, first)
    while window.start <= last:
        yield window
        window = window_at(budget, window.end)


def freed_at(budget: Budget, start: datetime) -> datetime:
    """Return when spending of the rolling step that began at ``start`` no longer counts."""
    length = rolling_length(budget)
    # The first moment whose window begins with the next step.
    return start + length / STEPS + length


def _step_start(at: datetime, step: timedelta) -> datetime:
    return _EPOCH + (at - _EPOCH) // step * step


def _period_start(budget: Budget, at: datetime) -> datetime:
    zone = zoneinfo.ZoneInfo(budget.time_zone)
    local = at.astimezone(zone)
    if budget.period in _SHORT:
        elapsed = timedelta(
            minutes=local.minute if budget.period == Budget.Period.HOUR else 0,
            seconds=local.second,
            microseconds=local.microsecond,
        )
        return (local.astimezone(UTC) - elapsed).astimezone(UTC)
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
    # Half a day more, as a day may have 25 hours; then back to the start of that period.
    return _period_start(budget, start + timedelta(days=days, hours=12))
