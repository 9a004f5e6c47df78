"""What of a period is summed already, by day or by hour, and what must be read from the rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from analytics.models import StaleRollupHour, TotalsState

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
Span = tuple[datetime, datetime]
"""A start and, not included, an end."""


def hour_of(moment: datetime) -> datetime:
    """The start of the hour (UTC) that ``moment`` is in."""
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def day_of(moment: datetime) -> datetime:
    """The start of the day (UTC) that ``moment`` is in."""
    return hour_of(moment).replace(hour=0)


@dataclass(frozen=True, slots=True)
class Parts:
    """A period in three: whole days, whole hours, and stretches of requests."""

    days: list[Span]
    hours: list[Span]
    rows: list[Span]


@dataclass(frozen=True, slots=True)
class Horizon:
    """How far sums reach at this moment; ``stale`` hours in between are to be summed anew."""

    hours_until: datetime | None
    days_until: datetime | None
    stale: Sequence[datetime]

    @classmethod
    def now(cls, since: datetime) -> Horizon:
        """As far as it matters to periods from ``since`` on. Reads the database."""
        state = TotalsState.objects.first()
        stale = StaleRollupHour.objects.filter(hour__gte=hour_of(since)).order_by("hour")
        return cls(
            state.summed_until if state else None,
            state.days_until if state else None,
            list(stale.values_list("hour", flat=True)),
        )

    def by_hours(self) -> Horizon:
        """The same, without the days' sums."""
        return replace(self, days_until=None)

    def parts(self, since: datetime, until: datetime | None = None) -> Parts:
        """How to read ``[since, until)``."""
        until = until or datetime.max.replace(tzinfo=UTC)
        first = hour_of(since) if since == hour_of(since) else hour_of(since) + HOUR
        last = min(self.hours_until, hour_of(until)) if self.hours_until else first
        if last <= first:
            return Parts([], [], [(since, until)])
        stale = [(hour, hour + HOUR) for hour in self.stale if first <= hour < last]
        rows = _merged([(since, first), *stale, (last, until)])
        kept = [(before[1], after[0]) for before, after in pairwise(rows) if before[1] < after[0]]
        days, hours = [], []
        for span in kept:
            whole = self._days_in(span)
            days += [whole] if whole else []
            hours += _around(span, whole)
        return Parts(days, hours, [span for span in rows if span[0] < span[1]])

    def _days_in(self, span: Span) -> Span | None:
        """The whole days of ``span`` that are summed, if there are any."""
        if self.days_until is None:
            return None
        first = day_of(span[0]) if span[0] == day_of(span[0]) else day_of(span[0]) + DAY
        last = min(day_of(span[1]), self.days_until)
        return (first, last) if first < last else None


def _around(span: Span, middle: Span | None) -> list[Span]:
    """``span`` without its ``middle``."""
    if middle is None:
        return [span]
    sides = [(span[0], middle[0]), (middle[1], span[1])]
    return [side for side in sides if side[0] < side[1]]


def _merged(spans: list[Span]) -> list[Span]:
    """Spans in their order, those that touch as one."""
    found = spans[:1]
    for start, end in spans[1:]:
        if start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found
