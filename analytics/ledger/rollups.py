"""Roll-ups: hourly and daily sums of requests, exact and computed in the background.

An hour is summed once it is over and all of its requests must have been written. A request
that is written later (from the journal, for example) or removed marks its hour as stale in its
own transaction; the hour is then summed again.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from django.db import transaction
from django.db.models.functions import TruncHour

from analytics.database.batcher import batched
from analytics.database.bulk_write import RowWriter, maker_of
from analytics.models import DailyRollup, HourlyRollup, RequestRecord, StaleRollupHour, TotalsState
from analytics.reports.figures import FIGURES, KEPT
from analytics.reports.rollup_coverage import DAY, HOUR, Span, day_of, hour_of
from analytics.reports.sum_queries import FEW_VALUES, row_sums, row_sums_together, totals_of_days

# A request that is written later than this after its arrival marks its hour as stale.
ON_TIME = timedelta(minutes=10)
# An hour is summed this long after its end: twice ``ON_TIME``, as clocks may differ.
_REST = timedelta(minutes=20)
_WRITTEN_TOGETHER = 2_000
# Dimensions whose requests are read once; those of a line have few values together.
_SUMMED_TOGETHER = (
    (*sorted(FEW_VALUES), "agent_mix", "charge", "answer"),
    ("tenant", "project", "key", "tenant_mix", "project_mix", "key_mix"),
)
_HOUR_ROWS, _hour_row = RowWriter(HourlyRollup), maker_of(HourlyRollup)
_DAY_ROWS, _day_row = RowWriter(DailyRollup), maker_of(DailyRollup)
_HOURS = TruncHour("created_at", tzinfo=UTC)


def mark_stale(times: Iterable[datetime]) -> None:
    """Mark the hours of these times to be summed again, in the caller's transaction."""
    hours = sorted({hour_of(at) for at in times})
    # A conflict updates the row instead of doing nothing: the update locks it, so a worker that
    # sums the hour waits for this transaction and then sees its requests.
    StaleRollupHour.objects.bulk_create(
        (StaleRollupHour(hour=hour) for hour in hours),
        update_conflicts=True,
        unique_fields=["hour"],
        update_fields=["marked_at"],
    )


def mark_late(times: Iterable[datetime]) -> None:
    """Mark as stale the hours of those times that are so old that they may have been summed."""
    since = datetime.now(UTC) - ON_TIME
    times = sorted(times)
    if times and times[0] < since:
        mark_stale(times[: bisect_left(times, since)])


def totals_update(now: datetime | None = None, together: timedelta = DAY) -> Iterator[datetime]:
    """Sum all hours and days that are due, in order; yield the end of each step.

    Each step is a transaction of its own, and sums the hours of at most ``together``: more take
    fewer queries and more memory. Several processes may run this at the same time: they wait
    for each other.
    """
    now = now or datetime.now(UTC)
    until = hour_of(now - _REST)
    while (step := _next_step(until, together)) is not None:
        yield step
    while (hour := _sum_a_stale_hour()) is not None:
        yield hour
    while (day := _sum_the_next_day()) is not None:
        yield day


def totals_forget_before(moment: datetime) -> None:
    """Note that requests before ``moment``, the start of an hour, are pruned.

    Their sums can no longer be computed again, so they stay as they are.
    """
    with transaction.atomic():
        state = _locked_state()
        state.pruned_before = max(moment, state.pruned_before or moment)
        state.save()


def totals_rebuild() -> Iterator[datetime]:
    """Compute all roll-ups again, except hours whose requests were pruned.

    Yields the end of each step.
    """
    with transaction.atomic():
        state = _locked_state()
        hours = HourlyRollup.objects.all()
        if state.pruned_before is not None:
            hours = hours.filter(hour__gte=state.pruned_before)
        hours.delete()
        # Days are sums of hours, and the hours of pruned requests are still there.
        DailyRollup.objects.all().delete()
        state.summed_until, state.days_until = state.pruned_before, None
        state.revision = uuid4()
        state.save()
    yield from totals_update()


def totals_differ() -> Iterator[tuple[datetime, str, str]]:
    """Yield (hour, dimension, value) of each roll-up that differs from the sum of its requests.

    Daily roll-ups are compared with their hours, and have the start of the day for the hour.
    """
    state = TotalsState.objects.first()
    first = RequestRecord.objects.order_by("created_at").values_list("created_at", flat=True)
    if state is None or state.summed_until is None or not first[:1]:
        return
    start = max(filter(None, (hour_of(first[0]), state.pruned_before)))
    stale = set(StaleRollupHour.objects.values_list("hour", flat=True))
    for dimension in KEPT:
        for span in _days(start, state.summed_until):
            rows = row_sums(dimension, span, _HOURS)
            stored = {
                (total.hour, total.value): {name: getattr(total, name) for name in FIGURES}
                for total in HourlyRollup.objects.filter(
                    dimension=dimension, hour__gte=span[0], hour__lt=span[1]
                )
            }
            for hour, value in sorted(rows.keys() | stored.keys()):
                if hour not in stale and rows.get((hour, value)) != stored.get((hour, value)):
                    yield hour, dimension, value
    yield from _days_differ()


def _days_differ() -> Iterator[tuple[datetime, str, str]]:
    """Yield (day, dimension, value) of each daily roll-up that differs from its hours' sum."""
    days = DailyRollup.objects.order_by("day").values_list("day", flat=True).distinct()
    for day in list(days):
        hours = totals_of_days((day, day + DAY))
        stored = {
            (total.dimension, total.value): {name: getattr(total, name) for name in FIGURES}
            for total in DailyRollup.objects.filter(day=day)
        }
        for dimension, value in sorted(hours.keys() | stored.keys()):
            if hours.get((dimension, value)) != stored.get((dimension, value)):
                yield day, dimension, value


def _days(start: datetime, end: datetime) -> Iterator[Span]:
    while start < end:
        until = min(end, start + 24 * HOUR)
        yield start, until
        start = until


def _next_step(until: datetime, together: timedelta) -> datetime | None:
    with transaction.atomic():
        state = _locked_state()
        waiting = (
            RequestRecord.objects.admitted().order_by("created_at").filter(created_at__lt=until)
        )
        if state.summed_until is not None:
            waiting = waiting.filter(created_at__gte=state.summed_until)
        first = waiting.values_list("created_at", flat=True).first()
        if first is None:
            # Nothing to sum: the state is written only if it changes.
            if state.summed_until is not None and state.summed_until < until:
                state.summed_until = until
                state.save()
            return None
        start = hour_of(first)
        end = min(until, start + together)
        _sum_hours((start, end))
        state.summed_until = end
        state.save()
        return end


def _sum_a_stale_hour() -> datetime | None:
    with transaction.atomic():
        state = _locked_state()
        if state.summed_until is None:
            return None
        # Later hours have not been summed yet, and stay stale until they are.
        stale = StaleRollupHour.objects.select_for_update().filter(hour__lt=state.summed_until)
        marked = stale.order_by("hour").first()
        if marked is None:
            return None
        hour = marked.hour
        marked.delete()
        if state.pruned_before is None or hour >= state.pruned_before:
            _sum_hours((hour, hour + HOUR))
            if state.days_until is not None and hour < state.days_until:
                _sum_day(day_of(hour))
            state.revision = uuid4()
            state.save()
        return hour


def _sum_the_next_day() -> datetime | None:
    """Sum the next day, and return its end; ``None`` if not all of its hours are summed yet."""
    with transaction.atomic():
        state = _locked_state()
        if state.summed_until is None:
            return None
        hours = HourlyRollup.objects.order_by("hour").values_list("hour", flat=True)
        if state.days_until is not None:
            hours = hours.filter(hour__gte=state.days_until)
        first = hours.first()
        if first is None or day_of(first) + DAY > state.summed_until:
            return None
        _sum_day(day_of(first))
        state.days_until = day_of(first) + DAY
        state.save()
        return state.days_until


def _sum_day(day: datetime) -> None:
    DailyRollup.objects.filter(day=day).delete()
    sums = (
        _day_row({"dimension": dimension, "day": day, "value": value, **figures})
        for (dimension, value), figures in totals_of_days((day, day + DAY)).items()
    )
    for group in batched(sums, _WRITTEN_TOGETHER):
        _DAY_ROWS.write(group)


def _locked_state() -> TotalsState:
    TotalsState.objects.bulk_create([TotalsState(pk=1)], ignore_conflicts=True)
    return TotalsState.objects.select_for_update().get(pk=1)


def _sum_hours(span: Span) -> None:
    HourlyRollup.objects.filter(hour__gte=span[0], hour__lt=span[1]).delete()
    for dimension, sums in _hourly_of_all(span):
        totals = (
            _hour_row({"dimension": dimension, "hour": hour, "value": value, **figures})
            for (hour, value), figures in sums.items()
        )
        for group in batched(totals, _WRITTEN_TOGETHER):
            _HOUR_ROWS.write(group)


def _hourly_of_all(span: Span) -> Iterator[tuple[str, dict[tuple[Any, str], Any]]]:
    for dimensions in _SUMMED_TOGETHER:
        yield from row_sums_together(dimensions, span, _HOURS).items()
    for dimension in KEPT:
        if not any(dimension in dimensions for dimensions in _SUMMED_TOGETHER):
            yield dimension, row_sums(dimension, span, _HOURS)
