"""Sums of a period's requests: of whole days, of hours, and of the rows for the rest.

All give the same to the last place. Hours that began before the period, that
are not summed yet or whose requests changed since are read from the requests.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db.models import F, IntegerField, Q, QuerySet, Sum, TextField, Value
from django.db.models.functions import Cast, Concat
from django.db.models.functions.datetime import TruncBase

from analytics.models import DailyRollup, HourlyRollup, RequestRecord
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
from analytics.reports.spans import Horizon, Span
from analytics.reports.tags import tagged

Grouped = dict[tuple[Any, str], Figures]
"""Figures by time, ``None`` where by no time, and value."""

Step = type[TruncBase]
"""By how long a time: ``TruncHour``, ``TruncDay``, ``TruncWeek`` or ``TruncMonth``, of UTC."""

# Of these even all combinations are few.
FEW_VALUES = frozenset(("strategy", "confidence", "model", "pattern", "endpoint"))
_AND = "\x1f"
"""The unit separator: no name has it."""
_MONEY = {name for name, sum_ in FIGURES.items() if isinstance(sum_, MoneySum)}
_KEPT_SUMS: dict[str, Any] = {
    name: MoneySum(name) if name in _MONEY else Sum(name, default=0) for name in FIGURES
}


def requests_in(since: datetime, until: datetime | None = None) -> QuerySet[RequestRecord]:
    """Requests, answered or not, in ``[since, until)``."""
    requests = RequestRecord.objects.filter(created_at__gte=since)
    return requests if until is None else requests.filter(created_at__lt=until)


@dataclass(frozen=True, slots=True)
class SumQuery:
    """The figures of each value of ``dimensions`` in ``[since, until)``."""

    dimensions: Sequence[str]
    since: datetime
    until: datetime | None = None


def row_sums(dimension: str, span: Span, by: Any = None) -> Grouped:
    """Summed from the requests themselves, by a truncation ``by`` of their time as well."""
    return grouped(dimension, requests_in(*span), by)


def row_sums_together(
    dimensions: Sequence[str], span: Span, by: Any
) -> dict[str, dict[tuple[Any, str], Figures]]:
    """:func:`row_sums` of several dimensions, reading the requests once. For dimensions whose
    values, combined, are far fewer than the requests.
    """
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


def totals_of_days(span: Span) -> dict[tuple[str, str], Figures]:
    """What the hourly totals of ``span`` add up to, by dimension and value."""
    rows: Any = HourlyRollup.objects.filter(hour__gte=span[0], hour__lt=span[1])
    rows = rows.values("dimension", "value").annotate(**_apart(_KEPT_SUMS)).order_by()
    return {(row["dimension"], row["value"]): _together(row) for row in rows}


def rows_by(dimension: str, value: str, span: Span) -> dict[tuple[datetime, str], Figures]:
    """Of the requests with one value of "user" or "tag", by UTC day and model."""
    rows: Any = requests_in(*span)
    if dimension == "user":
        rows = rows.filter(user_id=value)
    else:
        rows = tagged(rows, value) if value else rows.filter(tags=[])
    rows = rows.annotate(model_ref=KEPT["model"], at=DAY).values("at", "model_ref")
    return {
        (row["at"], row["model_ref"]): _together(row)
        for row in rows.annotate(**_apart(FIGURES)).order_by()
    }


def sums_together(
    asked: Sequence[SumQuery],
    horizon: Horizon,
    by: Step | None = None,
    figures: Collection[str] = FIGURES,
) -> list[dict[str, Grouped]]:
    """Of each that is asked, by time as well or not: in one reading of what is summed and one of
    the requests that are not. A ``by`` of hours needs a ``horizon`` without days.
    """
    nothing = no_figures()

    def none_yet() -> Figures:
        return {name: nothing[name] for name in figures}

    found: list[dict[str, Grouped]] = [
        {name: defaultdict(none_yet) for name in one.dimensions} for one in asked
    ]
    kept: list[Any] = []
    rows: list[Any] = []
    for number, one in enumerate(asked):
        parts = horizon.parts(one.since, one.until)
        for table, column, spans in (
            (DailyRollup, "day", parts.days), (HourlyRollup, "hour", parts.hours),
        ):  # fmt: skip
            if spans:
                totals = table._default_manager.filter(
                    _within(column, spans), dimension__in=one.dimensions
                )
                named = {"of": F("dimension"), "group": F("value")}
                kept.append(
                    _labelled(
                        totals, number, started(by, column), named, _chosen(_KEPT_SUMS, figures)
                    )
                )
        if parts.rows:
            requests = RequestRecord.objects.filter(_within("created_at", parts.rows))
            at = started(by, "created_at")
            rows += [
                _labelled(requests, number, at, _named(names), _chosen(FIGURES, figures))
                for names in _read_together(one.dimensions)
            ]
    for row in _union(kept):
        into = found[row["number"]][row["of"]]
        add_figures(into[row.get("at"), row["group"]], _together(row, figures))
    for row in _union(rows):
        summed = _together(row, figures)
        for name, group in zip(row["of"].split(_AND), row["group"].split(_AND), strict=True):
            into = found[row["number"]][name]
            for value in values_of(name, json.loads(group) if name == "tag" else group):
                add_figures(into[row.get("at"), value], summed)
    return found


def started(by: Step | None, column: str) -> TruncBase | None:
    return None if by is None else by(column, tzinfo=UTC)


def _read_together(dimensions: Sequence[str]) -> list[list[str]]:
    """Those with few values in one reading of the requests, the others in one each."""
    few = [name for name in dimensions if name in FEW_VALUES]
    return [*([few] if few else []), *([name] for name in dimensions if name not in FEW_VALUES)]


def _named(dimensions: Sequence[str]) -> dict[str, Any]:
    # As text, that dimensions can stand under each other: tags are JSON.
    parts: list[Any] = [Cast(KEPT[name], TextField()) for name in dimensions]
    group = parts[0]
    for part in parts[1:]:
        group = Concat(group, Value(_AND), part, output_field=TextField())
    return {"of": Value(_AND.join(dimensions), output_field=TextField()), "group": group}


def _labelled(rows: Any, number: int, by: Any, named: dict[str, Any], sums: dict[str, Any]) -> Any:
    rows = rows.annotate(number=_whole_number(number), **named)
    return _by_time(rows, by, "number", "of", "group").annotate(**_apart(sums)).order_by()


def _chosen(sums: dict[str, Any], figures: Collection[str]) -> dict[str, Any]:
    return {name: sums[name] for name in figures}


def _whole_number(number: int) -> Value:
    return Value(number, output_field=IntegerField())


def _union(selects: Sequence[Any]) -> Any:
    if not selects:
        return ()
    return selects[0].union(*selects[1:], all=True) if len(selects) > 1 else selects[0]


def grouped(dimension: str, requests: Any, by: Any) -> Grouped:
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


def _together(row: dict[str, Any], figures: Collection[str] = FIGURES) -> Figures:
    return {name: row[f"sum_{name}"] for name in figures}
