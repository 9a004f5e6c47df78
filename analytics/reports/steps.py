"""The time steps of a chart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

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
            monday = day_of(since) - DAY * since.astimezone(UTC).weekday()
            return cls("week", TruncWeek, _every(7 * DAY, monday, until))
        return cls("month", TruncMonth, _months(since, until))


def _every(length: timedelta, first: datetime, until: datetime) -> list[datetime]:
    return [first + length * n for n in range(-((first - until) // length))]


def _months(since: datetime, until: datetime) -> list[datetime]:
    starts = [day_of(since).replace(day=1)]
    while (following := (starts[-1] + 32 * DAY).replace(day=1)) < until:
        starts.append(following)
    return starts
