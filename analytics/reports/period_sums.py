"""Sums of a period's requests, from daily totals, hourly totals, and requests for the rest.

All three give exactly the same sums. Hours that began before the period, that are not
summed yet, or whose requests have changed are read from the requests.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import Any, cast
from uuid import UUID

from django.db.models import DateTimeField, F, IntegerField, Q, TextField, Value
from django.db.models.functions import Cast, Concat

from analytics.models import DailyRollup, HourlyRollup, RequestRecord
from analytics.reports.figures import (
    DIRECT,
    FIGURES,
    KEPT,
    LISTS,
    Figures,
    add_figures,
    values_of,
)
from analytics.reports.rollup_cache import ROLLUP_CACHE
from analytics.reports.rollup_coverage import PeriodParts, RollupCoverage, Span
from analytics.reports.sum_queries import (
    FEW_VALUES,
    ROLLUP_SUMS,
    Grouped,
    Step,
    by_time,
    figures_of,
    no_sum,
    prefixed,
    truncated,
    within,
)

_SEPARATOR = "\x1f"
"""The unit separator, which no name contains."""


@dataclass(frozen=True, slots=True)
class SumQuery:
    """A query for the figures of each value of ``dimensions`` in ``[since, until)``.

    With ``by``, they are by its steps, whatever the steps of other queries. With ``among``, only
    these values are read; the query then has one dimension, which is a column of requests. With
    ``begins``, only values that begin so are; those of the requests are in ``rows``. ``figures``
    are those that are summed, where it needs fewer than other queries.
    """

    dimensions: Sequence[str]
    since: datetime
    until: datetime | None = None
    by: Step | None = None
    among: Collection[str] | None = None
    begins: str | None = None
    rows: Q = Q()  # noqa: RUF009 - never changed
    figures: tuple[str, ...] = ()

    def holds(self, value: str) -> bool:
        """Return whether a value of the dimension is wanted."""
        if self.begins is not None:
            return value.startswith(self.begins)
        return self.among is None or value in self.among


def sums_together(
    queries: Sequence[SumQuery],
    horizon: RollupCoverage,
    by: Step | None = None,
    figures: Collection[str] = FIGURES,
) -> list[dict[str, Grouped]]:
    """Return each query's sums by dimension, and by time with a ``by``.

    One SQL query reads the totals of all ``queries`` that were not read before, another the
    requests that are not summed yet. A ``by`` of hours needs a ``horizon`` without days.
    """
    assert not any(DIRECT.keys() & set(query.dimensions) for query in queries)
    queries = [
        replace(query, by=query.by or by, figures=tuple(query.figures or figures))
        for query in queries
    ]
    results: list[dict[str, Grouped]] = [
        {name: {} for name in query.dimensions} for query in queries
    ]
    parts = [horizon.parts(query.since, query.until) for query in queries]
    for number, of, at, group, sums in _total_rows(queries, parts, horizon.revision):
        # SQLite compares beginnings without regard to case.
        if queries[number].holds(group):
            _add(results[number][of], (at, group), sums)
    for row in _union(_row_selects(queries, parts)):
        _add_row(results[row["number"]], row, queries[row["number"]])
    return results


def _add(grouped: Grouped, key: tuple[Any, str], figures: Figures) -> None:
    """Add figures to those of a group; most groups get them once."""
    there = grouped.get(key)
    if there is None:
        grouped[key] = figures
    else:
        add_figures(there, figures)


def _total_rows(
    queries: Sequence[SumQuery], parts: Sequence[PeriodParts], revision: UUID | None
) -> Iterator[tuple[int, str, Any, str, Figures]]:
    """Yield the sums of roll-ups: the query's number, dimension, time, value and figures."""
    reads = [
        (number, table, column, tuple(spans))
        for number, period in enumerate(parts)
        for table, column, spans in (
            (DailyRollup, "day", period.days), (HourlyRollup, "hour", period.hours),
        )
        if spans
    ]  # fmt: skip
    keys = [_key(queries[number], table, spans, revision) for number, table, _, spans in reads]
    known = [None if key is None else ROLLUP_CACHE.get(key) for key in keys]
    missing = {place: list[Any]() for place, rows in enumerate(known) if rows is None}
    asked = [queries[reads[place][0]] for place in missing]
    together, stepped = _figures_of(asked), any(query.by for query in asked)
    selects = []
    for place in missing:
        number, table, column, spans = reads[place]
        query = queries[number]
        step = cast(Any, query.by)
        totals = _total_query(place, table, column, step, stepped, query.figures, together)
        selects.append(_totals_of(totals, within(column, spans), query))
    for row in _union(selects):
        figures = queries[reads[row["number"]][0]].figures
        summed = tuple(row[f"sum_{name}"] for name in figures)
        missing[row["number"]].append((row["of"], row.get("at"), row["group"], summed))
    for place, rows in missing.items():
        if (key := keys[place]) is not None:
            ROLLUP_CACHE.put(key, rows)
    for place, (number, *_) in enumerate(reads):
        figures = queries[number].figures
        for of, at, group, summed in missing.get(place, known[place] or ()):
            yield number, of, at, group, dict(zip(figures, summed, strict=True))


def _key(query: SumQuery, table: Any, spans: tuple[Span, ...], revision: UUID | None) -> Any:
    """Return what the sums of a query over ``spans`` depend on; ``None`` if it is not known."""
    if revision is None:
        return None
    among = None if query.among is None else frozenset(query.among)
    asked = (tuple(query.dimensions), query.by, among, query.begins, tuple(query.figures))
    return table._default_manager.db, revision, table, spans, asked


def _row_selects(queries: Sequence[SumQuery], parts: Sequence[PeriodParts]) -> list[Any]:
    """Return the queries of the requests that are not in the roll-ups."""
    asked = [query for query, period in zip(queries, parts, strict=True) if period.rows]
    together, stepped = _figures_of(asked), any(query.by for query in asked)
    selects = []
    for number, (query, period) in enumerate(zip(queries, parts, strict=True)):
        if period.rows:
            times, step = within("created_at", period.rows), cast(Any, query.by)
            for names in _combined(query.dimensions):
                rows = _row_query(number, names, step, stepped, query.figures, together)
                selects.append(_among(rows.filter(times), query))
    return selects


# To build a query of so many sums takes longer than to ask it.
@lru_cache(maxsize=512)
def _total_query(
    number: int, table: Any, column: str, by: Any, stepped: bool,
    figures: tuple[str, ...], together: tuple[str, ...],
) -> Any:  # fmt: skip
    """Return the query of all totals of a table; it must be filtered."""
    labels = {"of": F("dimension"), "group": F("value")}
    sums = _chosen(ROLLUP_SUMS, figures, together)
    at = _time_of(by, column, stepped)
    return _labelled(table._default_manager.all(), number, at, labels, sums)


@lru_cache(maxsize=512)
def _row_query(
    number: int, names: tuple[str, ...], by: Any, stepped: bool,
    figures: tuple[str, ...], together: tuple[str, ...],
) -> Any:  # fmt: skip
    """Return the query of all requests; it must be filtered."""
    sums = _chosen(FIGURES, figures, together)
    at = _time_of(by, "created_at", stepped)
    return _labelled(RequestRecord.objects.admitted(), number, at, _row_labels(names), sums)


def _totals_of(totals: Any, times: Q, query: SumQuery) -> Any:
    """Return the totals of the dimensions and values that ``query`` asks for."""
    totals = totals.filter(times, dimension__in=query.dimensions)
    if query.among is not None:
        totals = totals.filter(value__in=query.among)
    if query.begins is not None:
        totals = totals.filter(value__startswith=query.begins)
    return totals


def _add_row(result: dict[str, Grouped], row: dict[str, Any], query: SumQuery) -> None:
    """Add a row of requests to the sums of each of its dimensions."""
    summed = figures_of(row, query.figures)
    names, groups = row["of"].split(_SEPARATOR), row["group"].split(_SEPARATOR)
    for name, group in zip(names, groups, strict=True):
        for value in values_of(name, json.loads(group) if name in LISTS else group):
            if query.holds(value):
                _add(result[name], (row.get("at"), value), dict(summed))


def _among(requests: Any, query: SumQuery) -> Any:
    """Return the requests that may have the values that ``query`` asks for."""
    (name, *_) = query.dimensions
    if query.begins is not None:
        return requests.filter(query.rows)
    if query.among is None or name in LISTS:
        return requests
    return requests.filter(**{f"{KEPT[name].name}__in": query.among})


def _combined(dimensions: Sequence[str]) -> list[tuple[str, ...]]:
    """Return the groups of dimensions to read together.

    One group has all dimensions with few values; each other dimension is a group of its own.
    """
    few = tuple(name for name in dimensions if name in FEW_VALUES)
    return [*([few] if few else []), *((name,) for name in dimensions if name not in FEW_VALUES)]


def _row_labels(dimensions: Sequence[str]) -> dict[str, Any]:
    # Values are cast to text, so that a UNION can combine dimensions: tags are JSON.
    parts: list[Any] = [Cast(KEPT[name], TextField()) for name in dimensions]
    group = parts[0]
    for part in parts[1:]:
        group = Concat(group, Value(_SEPARATOR), part, output_field=TextField())
    return {"of": Value(_SEPARATOR.join(dimensions), output_field=TextField()), "group": group}


def _time_of(by: Step | None, column: str, stepped: bool) -> Any:
    """Return the step of ``column``; no time if other parts of a UNION have steps."""
    if by is None and stepped:
        return Cast(Value(None), DateTimeField())
    return truncated(by, column)


def _labelled(rows: Any, number: int, by: Any, labels: dict[str, Any], sums: dict[str, Any]) -> Any:
    rows = rows.annotate(number=_integer(number), **labels)
    return by_time(rows, by, "number", "of", "group").annotate(**prefixed(sums)).order_by()


def _figures_of(queries: Iterable[SumQuery]) -> tuple[str, ...]:
    """Return the figures that any of ``queries`` needs."""
    wanted = {name for query in queries for name in query.figures}
    return tuple(name for name in FIGURES if name in wanted)


def _chosen(
    sums: dict[str, Any], figures: Collection[str], together: Collection[str]
) -> dict[str, Any]:
    """Return the sums of ``figures``, and of ``together`` the others as zero: a UNION needs all."""
    return {name: sums[name] if name in figures else no_sum(name) for name in together}


def _integer(number: int) -> Value:
    return Value(number, output_field=IntegerField())


def _union(selects: Sequence[Any]) -> Any:
    if not selects:
        return ()
    return selects[0].union(*selects[1:], all=True) if len(selects) > 1 else selects[0]
