"""Sums of a period's requests, from daily totals, hourly totals, and requests for the rest.

All three give exactly the same sums. Hours that began before the period, that are not
summed yet, or whose requests have changed are read from the requests.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

from django.db.models import F, IntegerField, Q, QuerySet, Sum, TextField, Value
from django.db.models.functions import Cast, Concat
from django.db.models.functions.datetime import TruncBase

from analytics.access.keys import tenant_of_team
from analytics.models import DailyRollup, HourlyRollup, RequestRecord
from analytics.money import MoneySum
from analytics.reports.figures import (
    DAY,
    DIRECT,
    FIGURES,
    GROUPS,
    KEPT,
    LISTS,
    Figures,
    add_figures,
    no_figures,
    values_of,
)
from analytics.reports.rollup_coverage import RollupCoverage, Span
from analytics.reports.tags import tagged

Grouped = dict[tuple[Any, str], Figures]
"""Figures by (time, value); the time is ``None`` without a :data:`Step`."""

Step = type[TruncBase]
"""The length of a step: ``TruncHour``, ``TruncDay``, ``TruncWeek`` or ``TruncMonth``, in UTC."""

# Even all combinations of these dimensions' values are few.
FEW_VALUES = frozenset(
    ("strategy", "confidence", "model", "pattern", "endpoint", "basis", "agent", "turn")
)
_SEPARATOR = "\x1f"
"""The unit separator, which no name contains."""
_MONEY = {name for name, sum_ in FIGURES.items() if isinstance(sum_, MoneySum)}
_ROLLUP_SUMS: dict[str, Any] = {
    name: MoneySum(name) if name in _MONEY else Sum(name, default=0) for name in FIGURES
}


def requests_in(since: datetime, until: datetime | None = None) -> QuerySet[RequestRecord]:
    """Return the requests, answered or not, in ``[since, until)``; none that were refused."""
    requests = RequestRecord.objects.admitted().filter(created_at__gte=since)
    return requests if until is None else requests.filter(created_at__lt=until)


@dataclass(frozen=True, slots=True)
class SumQuery:
    """A query for the figures of each value of ``dimensions`` in ``[since, until)``.

    With ``by``, they are by its steps, whatever the steps of other queries. With ``among``, only
    these values are read; the query then has one dimension, which is a column of requests.
    """

    dimensions: Sequence[str]
    since: datetime
    until: datetime | None = None
    by: Step | None = None
    among: Collection[str] | None = None


def row_sums(dimension: str, span: Span, by: Any = None) -> Grouped:
    """Sum the requests of ``span`` by a dimension, and by a truncation ``by`` of their time."""
    rows = _query_of_all(dimension, by).filter(created_at__gte=span[0], created_at__lt=span[1])
    return _summed(dimension, rows)


def row_sums_together(
    dimensions: Sequence[str], span: Span, by: Any
) -> dict[str, dict[tuple[Any, str], Figures]]:
    """Return :func:`row_sums` of several dimensions, reading the requests once.

    Use it for dimensions whose combined values are far fewer than the requests.
    """
    groups = {f"group_{name}": KEPT[name] for name in dimensions}
    rows: Any = requests_in(*span).annotate(at=by, **groups).values("at", *groups)
    sums: dict[str, dict[tuple[Any, str], Figures]] = {
        name: defaultdict(no_figures) for name in dimensions
    }
    for row in rows.annotate(**_prefixed(FIGURES)).order_by():
        figures = _figures(row)
        for name in dimensions:
            for value in values_of(name, row[f"group_{name}"]):
                add_figures(sums[name][row["at"], value], figures)
    return sums


def totals_of_days(span: Span) -> dict[tuple[str, str], Figures]:
    """Sum the hourly totals of ``span`` by dimension and value."""
    rows: Any = HourlyRollup.objects.filter(hour__gte=span[0], hour__lt=span[1])
    rows = rows.values("dimension", "value").annotate(**_prefixed(_ROLLUP_SUMS)).order_by()
    return {(row["dimension"], row["value"]): _figures(row) for row in rows}


def rows_by(dimension: str, value: str, span: Span) -> dict[tuple[datetime, str], Figures]:
    """Sum the requests with one value of ``dimension`` by UTC day and model."""
    rows = rows_of(dimension, value, requests_in(*span))
    rows = rows.annotate(model_ref=KEPT["model"], at=DAY).values("at", "model_ref")
    return {
        (row["at"], row["model_ref"]): _figures(row)
        for row in rows.annotate(**_prefixed(FIGURES)).order_by()
    }


def rows_of(dimension: str, value: str, requests: Any) -> Any:
    """Return those of ``requests`` with one value of "tag", "team" or of a column.

    "" is no value.
    """
    if dimension == "tag":
        return tagged(requests, value) if value else requests.filter(tags=[])
    if dimension == "team":
        if value:
            return requests.filter(tenant=tenant_of_team(value))
        return requests.exclude(tenant__startswith=tenant_of_team(""))
    return requests.filter(**{GROUPS[dimension].name: value})


def sums_together(
    queries: Sequence[SumQuery],
    horizon: RollupCoverage,
    by: Step | None = None,
    figures: Collection[str] = FIGURES,
) -> list[dict[str, Grouped]]:
    """Return each query's sums by dimension, and by time with a ``by``.

    One SQL query reads the totals of all ``queries``, another the requests that are not summed
    yet. A ``by`` of hours needs a ``horizon`` without days.
    """
    zero = no_figures()
    assert not any(DIRECT.keys() & set(query.dimensions) for query in queries)

    def zero_figures() -> Figures:
        return {name: zero[name] for name in figures}

    results: list[dict[str, Grouped]] = [
        {name: defaultdict(zero_figures) for name in query.dimensions} for query in queries
    ]
    total_selects: list[Any] = []
    row_selects: list[Any] = []
    for number, query in enumerate(queries):
        parts, step = horizon.parts(query.since, query.until), query.by or by
        for table, column, spans in (
            (DailyRollup, "day", parts.days), (HourlyRollup, "hour", parts.hours),
        ):  # fmt: skip
            if spans:
                totals = table._default_manager.filter(
                    _within(column, spans), dimension__in=query.dimensions
                )
                if query.among is not None:
                    totals = totals.filter(value__in=query.among)
                labels = {"of": F("dimension"), "group": F("value")}
                sums = _chosen(_ROLLUP_SUMS, figures)
                total_selects.append(
                    _labelled(totals, number, truncated(step, column), labels, sums)
                )
        if parts.rows:
            requests = RequestRecord.objects.admitted().filter(_within("created_at", parts.rows))
            requests = _among(requests, query)
            at = truncated(step, "created_at")
            row_selects += [
                _labelled(requests, number, at, _row_labels(names), _chosen(FIGURES, figures))
                for names in _combined(query.dimensions)
            ]
    for row in _union(total_selects):
        target = results[row["number"]][row["of"]]
        add_figures(target[row.get("at"), row["group"]], _figures(row, figures))
    for row in _union(row_selects):
        _add_row(results[row["number"]], row, queries[row["number"]].among, figures)
    return results


def _add_row(
    result: dict[str, Grouped],
    row: dict[str, Any],
    among: Collection[str] | None,
    figures: Collection[str],
) -> None:
    """Add a row of requests to the sums of each of its dimensions."""
    summed = _figures(row, figures)
    names, groups = row["of"].split(_SEPARATOR), row["group"].split(_SEPARATOR)
    for name, group in zip(names, groups, strict=True):
        for value in values_of(name, json.loads(group) if name in LISTS else group):
            if among is None or value in among:
                add_figures(result[name][row.get("at"), value], summed)


def _among(requests: Any, query: SumQuery) -> Any:
    """Return the requests that may have the values that ``query`` asks for."""
    (name, *_) = query.dimensions
    if query.among is None or name in LISTS:
        return requests
    return requests.filter(**{f"{KEPT[name].name}__in": query.among})


def truncated(by: Step | None, column: str) -> TruncBase | None:
    """Return ``column`` truncated to steps of ``by`` (UTC); ``None`` without a ``by``."""
    return None if by is None else by(column, tzinfo=UTC)


def _combined(dimensions: Sequence[str]) -> list[list[str]]:
    """Return the groups of dimensions to read together.

    One group has all dimensions with few values; each other dimension is a group of its own.
    """
    few = [name for name in dimensions if name in FEW_VALUES]
    return [*([few] if few else []), *([name] for name in dimensions if name not in FEW_VALUES)]


def _row_labels(dimensions: Sequence[str]) -> dict[str, Any]:
    # Values are cast to text, so that a UNION can combine dimensions: tags are JSON.
    parts: list[Any] = [Cast(KEPT[name], TextField()) for name in dimensions]
    group = parts[0]
    for part in parts[1:]:
        group = Concat(group, Value(_SEPARATOR), part, output_field=TextField())
    return {"of": Value(_SEPARATOR.join(dimensions), output_field=TextField()), "group": group}


def _labelled(rows: Any, number: int, by: Any, labels: dict[str, Any], sums: dict[str, Any]) -> Any:
    rows = rows.annotate(number=_integer(number), **labels)
    return _by_time(rows, by, "number", "of", "group").annotate(**_prefixed(sums)).order_by()


def _chosen(sums: dict[str, Any], figures: Collection[str]) -> dict[str, Any]:
    return {name: sums[name] for name in figures}


def _integer(number: int) -> Value:
    return Value(number, output_field=IntegerField())


def _union(selects: Sequence[Any]) -> Any:
    if not selects:
        return ()
    return selects[0].union(*selects[1:], all=True) if len(selects) > 1 else selects[0]


def grouped(dimension: str, requests: Any, by: Any) -> Grouped:
    """Return the figures of ``requests`` by time and value."""
    return _summed(dimension, _grouping(dimension, requests, by))


@cache
def _query_of_all(dimension: str, by: Any) -> Any:
    """Return the query of all requests: to build it takes as long as to ask it for an hour."""
    return _grouping(dimension, RequestRecord.objects.admitted(), by)


def _grouping(dimension: str, requests: Any, by: Any) -> Any:
    rows = _by_time(requests.annotate(group=GROUPS[dimension]), by, "group")
    return rows.annotate(**_prefixed(FIGURES)).order_by()


def _summed(dimension: str, rows: Any) -> Grouped:
    sums: Grouped = defaultdict(no_figures)
    for row in rows:
        figures = _figures(row)
        for value in values_of(dimension, row["group"]):
            add_figures(sums[row.get("at"), value], figures)
    return sums


def _by_time(rows: Any, by: Any, *columns: str) -> Any:
    """Group ``rows`` by ``columns`` and by the truncated time ``by``, if there is one."""
    return rows.values(*columns) if by is None else rows.annotate(at=by).values(*columns, "at")


def _within(column: str, spans: Sequence[Span]) -> Q:
    condition = Q()
    for start, end in spans:
        condition |= Q(**{f"{column}__gte": start, f"{column}__lt": end})
    return condition


def _prefixed(sums: dict[str, Any]) -> dict[str, Any]:
    """Return ``sums`` under other names, as an annotation cannot have the name of a column."""
    return {f"sum_{name}": sum_ for name, sum_ in sums.items()}


def _figures(row: dict[str, Any], figures: Collection[str] = FIGURES) -> Figures:
    return {name: row[f"sum_{name}"] for name in figures}
