"""Which parts of a period have daily or hourly totals, and which must be read from requests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from uuid import UUID

from analytics.models import StaleRollupHour, TotalsState

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
Span = tuple[datetime, datetime]
"""A start and an end, which is not included."""


def hour_of(moment: datetime) -> datetime:
    """Return the start of the hour (UTC) that ``moment`` is in."""
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def day_of(moment: datetime) -> datetime:
    """Return the start of the day (UTC) that ``moment`` is in."""
    return hour_of(moment).replace(hour=0)


def start_of_day(day: date) -> datetime:
    """Return the moment (UTC) that ``day`` begins."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class PeriodParts:
    """The parts of a period: whole days, whole hours, and spans to read from the requests."""

    days: list[Span]
    hours: list[Span]
    rows: list[Span]


@dataclass(frozen=True, slots=True)
class RollupCoverage:
    """How far the totals reach now; the ``stale`` hours before that must be summed again.

    ``revision`` is another one once totals that were written before are written anew.
    """

    hours_until: datetime | None
    days_until: datetime | None
    stale: Sequence[datetime]
    revision: UUID | None = None

    @classmethod
    def now(cls, since: datetime) -> RollupCoverage:
        """Read from the database how far the totals reach, for periods from ``since`` on."""
        state = TotalsState.objects.first()
        stale = StaleRollupHour.objects.filter(hour__gte=hour_of(since)).order_by("hour")
        return cls(
            state.summed_until if state else None,
            state.days_until if state else None,
            list(stale.values_list("hour", flat=True)),
            state.revision if state else None,
        )

    def by_hours(self) -> RollupCoverage:
        """Return the same horizon without daily totals."""
        return replace(self, days_until=None)

    def parts(self, since: datetime, until: datetime | None = None) -> PeriodParts:
        """Return how to read ``[since, until)``."""
        until = until or datetime.max.replace(tzinfo=UTC)
        first = hour_of(since) if since == hour_of(since) else hour_of(since) + HOUR
        last = min(self.hours_until, hour_of(until)) if self.hours_until else first
        if last <= first:
            return PeriodParts([], [], [(since, until)])
        stale = [(hour, hour + HOUR) for hour in self.stale if first <= hour < last]
        rows = merged_spans([(since, first), *stale, (last, until)])
        summed = [(before[1], after[0]) for before, after in pairwise(rows) if before[1] < after[0]]
        days, hours = [], []
        for span in summed:
            whole_days = self._days_in(span)
            days += [whole_days] if whole_days else []
            hours += _without(span, whole_days)
        return PeriodParts(days, hours, [span for span in rows if span[0] < span[1]])

    def _days_in(self, span: Span) -> Span | None:
        """Return the whole days of ``span`` with daily totals, if there are any."""
        if self.days_until is None:
            return None
        first = day_of(span[0]) if span[0] == day_of(span[0]) else day_of(span[0]) + DAY
        last = min(day_of(span[1]), self.days_until)
        return (first, last) if first < last else None


def _without(span: Span, middle: Span | None) -> list[Span]:
    """Return the parts of ``span`` before and after its ``middle``."""
    if middle is None:
        return [span]
    sides = [(span[0], middle[0]), (middle[1], span[1])]
    return [side for side in sides if side[0] < side[1]]


def merged_spans(spans: Sequence[Span]) -> list[Span]:
    """Return sorted spans with those that touch merged into one."""
    merged = list(spans[:1])
    for start, end in spans[1:]:
        if start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged
