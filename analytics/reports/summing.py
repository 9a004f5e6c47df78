"""Sums of a period's requests: from hourly totals where they are made, else from the rows.

Both give the same to the last place. Hours that began before the period, that
are not summed yet or whose requests changed since are read from the requests.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, Protocol

from django.db import connection
from django.db.models import Q, QuerySet, Sum, TextField, Value
from django.db.models.functions import Cast, StrIndex, TruncDay

from analytics.models import HourlyTotal, RequestRecord, StaleHour, TotalsState
from analytics.money import MoneySum
from analytics.reports.figures import (
    DAY,
    FIGURES,
    KEPT,
    Figures,
    add_figures,
    no_figures,
    values_of,
)

HOUR = timedelta(hours=1)
Span = tuple[datetime, datetime]
"""A start and, not included, an end."""
Grouped = dict[tuple[Any, str], Figures]
"""Figures by time, ``None`` where by no time, and value."""

_MONEY = {name for name, sum_ in FIGURES.items() if isinstance(sum_, MoneySum)}
_KEPT_SUMS: dict[str, Any] = {
    name: MoneySum(name) if name in _MONEY else Sum(name, default=0) for name in FIGURES
}


def hour_of(moment: datetime) -> datetime:
    """The start of the hour (UTC) that ``moment`` is in."""
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def requests_in(since: datetime, until: datetime | None = None) -> QuerySet[RequestRecord]:
    """Requests, answered or not, in ``[since, until)``."""
    requests = RequestRecord.objects.filter(created_at__gte=since)
    return requests if until is None else requests.filter(created_at__lt=until)


class Sums(Protocol):
    """Where a report finds what requests add up to: against one baseline or another."""

    def by(
        self, dimension: str, since: datetime, until: datetime | None = None
    ) -> dict[str, Figures]:
        """The figures of each value of ``dimension`` in ``[since, until)``."""
        ...

    def by_day(self, since: datetime, until: datetime | None = None) -> dict[datetime, Figures]:
        """The figures of each UTC day, by its start."""
        ...


class RecordedSums:
    """Against the baseline that was recorded with each request: complexity's choice, or the
    model that the client gave as its baseline."""

    def by(
        self, dimension: str, since: datetime, until: datetime | None = None
    ) -> dict[str, Figures]:
        return _by_value(self._read(dimension, since, until, None))

    def by_day(self, since: datetime, until: datetime | None = None) -> dict[datetime, Figures]:
        days: dict[datetime, Figures] = defaultdict(no_figures)
        found = self._read("strategy", since, until, DAY)
        for (day, _), figures in found.items():
            add_figures(days[day], figures)
        return dict(days)

    def _read(self, dimension: str, since: datetime, until: datetime | None, by: Any) -> Grouped:
        return _sums([dimension], since, until, by)[dimension]


RECORDED = RecordedSums()


class TenantSums(RecordedSums):
    """The same for one tenant's requests alone; read from the rows."""

    def __init__(self, tenant: str) -> None:
        self._tenant = tenant

    def _read(self, dimension: str, since: datetime, until: datetime | None, by: Any) -> Grouped:
        return _grouped(dimension, requests_in(since, until).filter(tenant=self._tenant), by)


class RememberedSums:
    """Others' sums, each read once: what one report says twice agrees, and costs one reading."""

    def __init__(self, sums: Sums) -> None:
        self._sums = sums
        self._read: dict[tuple[Any, ...], Any] = {}

    @classmethod
    def of(cls, dimensions: Sequence[str], since: datetime) -> RememberedSums:
        """The recorded ones, with several dimensions read at once."""
        sums = cls(RECORDED)
        for dimension, found in _sums(dimensions, since, None, None).items():
            sums._read[dimension, since, None] = _by_value(found)
        return sums

    def by(
        self, dimension: str, since: datetime, until: datetime | None = None
    ) -> dict[str, Figures]:
        key = (dimension, since, until)
        if key not in self._read:
            self._read[key] = self._sums.by(dimension, since, until)
        found: dict[str, Figures] = self._read[key]
        return found

    def by_day(self, since: datetime, until: datetime | None = None) -> dict[datetime, Figures]:
        key = (since, until)
        if key not in self._read:
            self._read[key] = self._sums.by_day(since, until)
        found: dict[datetime, Figures] = self._read[key]
        return found


def total_of(sums: Mapping[Any, Figures]) -> Figures:
    """All of them together."""
    total = no_figures()
    for figures in sums.values():
        add_figures(total, figures)
    return total


def row_sums(dimension: str, span: Span, by: Any = None) -> Grouped:
    """Summed from the requests themselves, by a truncation ``by`` of their time as well."""
    return _grouped(dimension, requests_in(*span), by)


def row_sums_together(
    dimensions: Sequence[str], span: Span, by: Any
) -> dict[str, dict[tuple[Any, str], Figures]]:
    """:func:`row_sums` of several dimensions, reading the requests once. For dimensions whose
    values, combined, are far fewer than the requests."""
    groups = {f"group_{name}": KEPT[name] for name in dimensions}
    rows: Any = requests_in(*span).annotate(at=by, **groups).values("at", *groups)
    sums: dict[str, dict[tuple[Any, str], Figures]] = {
        name: defaultdict(no_figures) for name in dimensions
    }
    for row in rows.annotate(**_apart(FIGURES)).order_by():
        found = _together(row)
        for name in dimensions:
            for value in values_of(name, row[f"group_{name}"]):
                add_figures(sums[name][row["at"], value], found)
    return sums


def rows_by(dimension: str, value: str, span: Span) -> dict[tuple[datetime, str], Figures]:
    """Of the requests with one value of "user" or "tag", by UTC day and model."""
    rows: Any = requests_in(*span)
    if dimension == "user":
        rows = rows.filter(user_id=value)
    else:
        rows = _tagged(rows, value) if value else rows.filter(tags=[])
    rows = rows.annotate(model_ref=KEPT["model"], at=DAY).values("at", "model_ref")
    return {
        (row["at"], row["model_ref"]): _together(row)
        for row in rows.annotate(**_apart(FIGURES)).order_by()
    }


def _tagged(rows: Any, tag: str) -> Any:
    if connection.features.supports_json_field_contains:
        return rows.filter(tags__contains=[tag])
    # SQLite: the tag as it stands in the JSON text, quotes included.
    place = StrIndex(Cast("tags", TextField()), Value(json.dumps(tag)))
    return rows.annotate(place=place).filter(place__gt=0)


def _sums(
    dimensions: Sequence[str], since: datetime, until: datetime | None, by: Any
) -> dict[str, Grouped]:
    """Of each dimension, in one reading of the hourly totals and one a dimension of what is not
    in them; by :data:`DAY` as well, or not."""
    kept, rows = _spans(since, until)
    sums: dict[str, Grouped] = {name: defaultdict(no_figures) for name in dimensions}
    if kept:
        totals: Any = HourlyTotal.objects.filter(_within("hour", kept), dimension__in=dimensions)
        day = None if by is None else TruncDay("hour", tzinfo=UTC)
        totals = _by_time(totals, day, "dimension", "value").annotate(**_apart(_KEPT_SUMS))
        for row in totals.order_by():
            add_figures(sums[row["dimension"]][row.get("at"), row["value"]], _together(row))
    for dimension in dimensions if rows else ():
        requests = RequestRecord.objects.filter(_within("created_at", rows))
        for key, figures in _grouped(dimension, requests, by).items():
            add_figures(sums[dimension][key], figures)
    return sums


def _by_value(found: Grouped) -> dict[str, Figures]:
    return {value: figures for (_, value), figures in found.items()}


def _grouped(dimension: str, requests: Any, by: Any) -> Grouped:
    """The figures of ``requests`` by time and value."""
    rows = _by_time(requests.annotate(group=KEPT[dimension]), by, "group")
    sums: Grouped = defaultdict(no_figures)
    for row in rows.annotate(**_apart(FIGURES)).order_by():
        found = _together(row)
        for value in values_of(dimension, row["group"]):
            add_figures(sums[row.get("at"), value], found)
    return sums


def _by_time(rows: Any, by: Any, *columns: str) -> Any:
    """To be summed by ``columns`` and, where there is a ``by``, that truncation of their time."""
    return rows.values(*columns) if by is None else rows.annotate(at=by).values(*columns, "at")


def _within(column: str, spans: Sequence[Span]) -> Q:
    found = Q()
    for start, end in spans:
        found |= Q(**{f"{column}__gte": start, f"{column}__lt": end})
    return found


def _apart(sums: dict[str, Any]) -> dict[str, Any]:
    """Under names that no column has, which an annotation may not take."""
    return {f"sum_{name}": sum_ for name, sum_ in sums.items()}


def _together(row: dict[str, Any]) -> Figures:
    return {name: row[f"sum_{name}"] for name in FIGURES}


def _spans(since: datetime, until: datetime | None) -> tuple[list[Span], list[Span]]:
    """What of the period is read from hourly totals, and what from the requests."""
    until = until or datetime.max.replace(tzinfo=UTC)
    state = TotalsState.objects.first()
    summed = state.summed_until if state else None
    first = hour_of(since) if since == hour_of(since) else hour_of(since) + HOUR
    last = min(summed, hour_of(until)) if summed else first
    if last <= first:
        return [], [(since, until)]
    stale = StaleHour.objects.filter(hour__gte=first, hour__lt=last).order_by("hour")
    rows = [(since, first), *((h, h + HOUR) for h in stale.values_list("hour", flat=True))]
    rows = _merged([*rows, (last, until)])
    kept = [(before[1], after[0]) for before, after in pairwise(rows) if before[1] < after[0]]
    return kept, [span for span in rows if span[0] < span[1]]


def _merged(spans: list[Span]) -> list[Span]:
    """Spans in their order, those that touch as one."""
    found = spans[:1]
    for start, end in spans[1:]:
        if start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found
