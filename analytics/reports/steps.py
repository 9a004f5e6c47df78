"""The time steps of a chart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models.functions import TruncDay, TruncHour, TruncMonth, TruncWeek

from analytics.reports.rollup_coverage import DAY, HOUR, day_of, hour_of
from analytics.reports.sum_queries import Step

_HOURS, _DAYS, _WEEKS = timedelta(days=2), timedelta(days=45), timedelta(days=190)


@dataclass(frozen=True, slots=True)
class Steps:
    """The time steps of a period.

    ``kind`` is "hour", "day", "week" or "month" (UTC, weeks begin on Monday), chosen so that a
    chart stays readable. ``starts`` are the starts of all steps that the period touches.
    """

    kind: str
    by: Step
    starts: Sequence[datetime]

    @classmethod
    def of(cls, since: datetime, until: datetime) -> Steps:
        """Return the steps of ``[since, until)``."""
        length = until - since
        if length <= _HOURS:
            return cls("hour", TruncHour, _every(HOUR, hour_of(since), until))
        if length <= _DAYS:
            return cls("day", TruncDay, _every(DAY, day_of(since), until))
        if length <= _WEEKS:
            return cls("week", TruncWeek, _every(7 * DAY, step_start(TruncWeek, since), until))
        return cls("month", TruncMonth, _months(since, until))


def step_start(by: Step, moment: datetime) -> datetime:
    """Return the start (UTC) of the step that ``moment`` is in."""
    if by is TruncHour:
        return hour_of(moment)
    day = day_of(moment)
    if by is TruncWeek:
        return day - DAY * day.weekday()
    return day.replace(day=1) if by is TruncMonth else day


def step_end(by: Step, start: datetime) -> datetime:
    """Return the end of the step that begins at ``start``."""
    if by is TruncMonth:
        return (start + 32 * DAY).replace(day=1)
    return start + {TruncHour: HOUR, TruncWeek: 7 * DAY}.get(by, DAY)


def _every(length: timedelta, first: datetime, until: datetime) -> list[datetime]:
    return [first + length * n for n in range(-((first - until) // length))]


def _months(since: datetime, until: datetime) -> list[datetime]:
    starts = [step_start(TruncMonth, since)]
    while (following := (starts[-1] + 32 * DAY).replace(day=1)) < until:
        starts.append(following)
    return starts
