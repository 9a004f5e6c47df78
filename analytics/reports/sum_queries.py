"""Sums of requests, and of the roll-ups of some days, in SQL."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from typing import Any

from django.db.models import (
    BigIntegerField,
    DecimalField,
    Q,
    QuerySet,
    Sum,
    Value,
)
from django.db.models.functions.datetime import TruncBase

from analytics.access.keys import tenant_of_team
from analytics.models import HourlyRollup, RequestRecord
from analytics.money import MoneySum
from analytics.reports.figures import (
    DAY,
    FIGURES,
    GROUPS,
    KEPT,
    Figures,
    add_figures,
    no_figures,
    values_of,
)
from analytics.reports.rollup_coverage import Span
from analytics.reports.tags import tagged

Grouped = dict[tuple[Any, str], Figures]
"""Figures by (time, value); the time is ``None`` without a :data:`Step`."""

Step = type[TruncBase]
"""The length of a step: ``TruncHour``, ``TruncDay``, ``TruncWeek`` or ``TruncMonth``, in UTC."""

# Even all combinations of these dimensions' values are few.
FEW_VALUES = frozenset(
    ("strategy", "confidence", "model", "pattern", "endpoint", "basis", "agent", "turn")
)
_MONEY = {name for name, sum_ in FIGURES.items() if isinstance(sum_, MoneySum)}
ROLLUP_SUMS: dict[str, Any] = {
    name: MoneySum(name) if name in _MONEY else Sum(name, default=0) for name in FIGURES
}
"""The sums of roll-ups' rows, by figure."""


def requests_in(since: datetime, until: datetime | None = None) -> QuerySet[RequestRecord]:
    """Return the requests, answered or not, in ``[since, until)``; none that were refused."""
    requests = RequestRecord.objects.admitted().filter(created_at__gte=since)
    return requests if until is None else requests.filter(created_at__lt=until)


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
    for row in rows.annotate(**prefixed(FIGURES)).order_by():
        figures = figures_of(row)
        for name in dimensions:
            for value in values_of(name, row[f"group_{name}"]):
                add_figures(sums[name][row["at"], value], figures)
    return sums


def totals_of_days(span: Span) -> dict[tuple[str, str], Figures]:
    """Sum the hourly totals of ``span`` by dimension and value."""
    rows: Any = HourlyRollup.objects.filter(hour__gte=span[0], hour__lt=span[1])
    rows = rows.values("dimension", "value").annotate(**prefixed(ROLLUP_SUMS)).order_by()
    return {(row["dimension"], row["value"]): figures_of(row) for row in rows}


def rows_by(
    dimension: str, value: str, span: Span, figures: Collection[str] = FIGURES
) -> dict[tuple[datetime, str], Figures]:
    """Sum the requests with one value of ``dimension`` by UTC day and model."""
    rows = rows_of(dimension, value, requests_in(*span))
    rows = rows.annotate(model_ref=KEPT["model"], at=DAY).values("at", "model_ref")
    return {
        (row["at"], row["model_ref"]): figures_of(row, figures)
        for row in rows.annotate(**prefixed({name: FIGURES[name] for name in figures})).order_by()
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


def truncated(by: Step | None, column: str) -> TruncBase | None:
    """Return ``column`` truncated to steps of ``by`` (UTC); ``None`` without a ``by``."""
    return None if by is None else by(column, tzinfo=UTC)


def no_sum(name: str) -> Value:
    """Return zero of the type of a figure's sum."""
    if name in _MONEY:
        return Value(Decimal(0), output_field=DecimalField(max_digits=30, decimal_places=10))
    return Value(0, output_field=BigIntegerField())


def grouped(dimension: str, requests: Any, by: Any) -> Grouped:
    """Return the figures of ``requests`` by time and value."""
    return _summed(dimension, _grouping(dimension, requests, by))


@cache
def _query_of_all(dimension: str, by: Any) -> Any:
    """Return the query of all requests: to build it takes as long as to ask it for an hour."""
    return _grouping(dimension, RequestRecord.objects.admitted(), by)


def _grouping(dimension: str, requests: Any, by: Any) -> Any:
    rows = by_time(requests.annotate(group=GROUPS[dimension]), by, "group")
    return rows.annotate(**prefixed(FIGURES)).order_by()


def _summed(dimension: str, rows: Any) -> Grouped:
    sums: Grouped = defaultdict(no_figures)
    for row in rows:
        figures = figures_of(row)
        for value in values_of(dimension, row["group"]):
            add_figures(sums[row.get("at"), value], figures)
    return sums


def by_time(rows: Any, by: Any, *columns: str) -> Any:
    """Group ``rows`` by ``columns`` and by the truncated time ``by``, if there is one."""
    return rows.values(*columns) if by is None else rows.annotate(at=by).values(*columns, "at")


def within(column: str, spans: Sequence[Span]) -> Q:
    """Return the condition that ``column`` lies in one of ``spans``."""
    condition = Q()
    for start, end in spans:
        condition |= Q(**{f"{column}__gte": start, f"{column}__lt": end})
    return condition


def prefixed(sums: dict[str, Any]) -> dict[str, Any]:
    """Return ``sums`` under other names, as an annotation cannot have the name of a column."""
    return {f"sum_{name}": sum_ for name, sum_ in sums.items()}


def figures_of(row: dict[str, Any], figures: Collection[str] = FIGURES) -> Figures:
    """Return the figures of a row of :func:`prefixed` sums."""
    return {name: row[f"sum_{name}"] for name in figures}
