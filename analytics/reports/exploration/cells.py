"""The figures of a period by some dimensions, from kept sums or from the requests themselves."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import product
from typing import Any

from analytics.models import RequestRecord
from analytics.reports.breakdown import NONE
from analytics.reports.durations import Spread, counts_by_provider
from analytics.reports.exploration.dimensions import (
    Filters,
    filtered,
    kept_for,
    kept_value,
    kept_values,
    shown,
)
from analytics.reports.exploration.scans import READ, CellQuery, scanned
from analytics.reports.figures import LISTS, Figures, add_figures
from analytics.reports.period_sums import SumQuery, sums_together
from analytics.reports.rollup_coverage import RollupCoverage, Span
from analytics.reports.sum_queries import Grouped

MOST_REQUESTS = 25_000
"""The most requests of a period and the one before that one question reads."""
MOST_SCATTERED = 4_000
"""The same for groups by user or session, which may be as many as the requests."""
_SCATTERED = frozenset({"user", "session"})
_INDEXED = ("session", "user", "team", "model", "endpoint")
"""Dimensions of which the requests of one value are found in their order, fewest first."""

Cells = dict[tuple[datetime | None, tuple[str, ...]], Figures]
"""Figures by (start of the step, values); the start is ``None`` without steps."""


def is_kept(dimensions: Iterable[str]) -> bool:
    """Return whether there are sums that hold all ``dimensions``."""
    return kept_for(frozenset(dimensions)) is not None


def kept_cells(
    queries: Sequence[CellQuery],
    filters: Filters,
    horizon: RollupCoverage,
    durations: Sequence[Span] = (),
    figures: Collection[str] = READ,
) -> tuple[list[Cells], list[Spread | None]]:
    """Return each query's cells, and the durations of calls in ``durations``, from kept sums.

    It takes two SQL queries at most. Sums must hold the dimensions of all queries together with
    those of ``filters``. Durations are kept by provider, so no other filter applies to them.
    """
    kept = [kept_for({*query.by, *filters}) for query in queries]
    # All parts of a UNION have steps or none has.
    step = next((query.step for query in queries if query.step is not None), None)
    sum_queries = [
        SumQuery([name or ""], query.since, query.until, step, _among(query, filters))
        for name, query in zip(kept, queries, strict=True)
    ]
    sum_queries += [SumQuery(["latency"], *span, step) for span in durations]
    grouped = sums_together(sum_queries, horizon, None, figures)
    cells = [
        _cells_of(sums[name or ""], name or "", query, filters)
        for name, query, sums in zip(kept, queries, grouped, strict=False)
    ]
    provider = filters.get("provider")
    spreads = [_spread(sums["latency"], provider) for sums in grouped[len(queries) :]]
    return cells, spreads


def row_cells(
    queries: Sequence[CellQuery], filters: Filters, figures: Collection[str] = READ
) -> list[Cells]:
    """Return each query's cells, read from the requests by one SQL query.

    Queries about the same period read its requests once.
    """
    scans: dict[Any, list[int]] = defaultdict(list)
    for number, query in enumerate(queries):
        scans[query.since, query.until, query.among and frozenset(query.among)].append(number)
    shared = [_shared([queries[number] for number in numbers]) for numbers in scans.values()]
    members = list(scans.values())
    cells: list[Cells] = [{} for _ in queries]
    for row in scanned(shared, filters, figures):
        scan = shared[row["number"]]
        named = {
            name: [filters[name]] if name in filters else column_values(name, row[f"value_{n}"])
            for n, name in enumerate(scan.by)
        }
        summed = {name: row[f"sum_{name}"] for name in figures}
        for number in members[row["number"]]:
            query = queries[number]
            at = row["at"] if query.step else None
            for values in product(*(named[name] for name in query.by)):
                if _is_wanted(query, values):
                    _add(cells[number], (at, values), summed)
    return cells


def most_requests(by: Iterable[str]) -> int:
    """Return the most requests that a question reads if it groups by these dimensions."""
    return MOST_REQUESTS if _SCATTERED.isdisjoint(by) else MOST_SCATTERED


def readable_span(filters: Filters, before: datetime, until: datetime, most: int) -> datetime:
    """Return the start of the part of ``[before, until)`` that can be read request by request.

    It has ``most`` requests at most that could have the values of ``filters``.
    """
    served = next((name for name in _INDEXED if filters.get(name, NONE) != NONE), None)
    rows = RequestRecord.objects.filter(created_at__gte=before, created_at__lt=until)
    if served is not None:
        rows = filtered(rows, {served: filters[served]})
    times = rows.order_by("-created_at").values_list("created_at", flat=True)
    over = list(times[most : most + 1])
    return over[0] if over else before


def column_values(name: str, text: str) -> list[str]:
    """Return the values of a dimension for people, from its column as text."""
    if name in LISTS:
        return [shown(name, value) for value in dict.fromkeys(json.loads(text))] or [NONE]
    return [shown(name, text)]


def _add(cells: dict[Any, Figures], key: Any, figures: Figures) -> None:
    """Add figures to a cell; most cells get them once."""
    there = cells.get(key)
    if there is None:
        cells[key] = dict(figures)
    else:
        add_figures(there, figures)


def _shared(queries: Sequence[CellQuery]) -> CellQuery:
    """Return the query whose cells hold those of all ``queries``."""
    by = tuple(dict.fromkeys(name for query in queries for name in query.by))
    step = next((query.step for query in queries if query.step is not None), None)
    return replace(queries[0], by=by, step=step)


def _among(query: CellQuery, filters: Filters) -> list[str] | None:
    """Return the kept values that SQL reads; ``None`` for all, of which the rest is dropped."""
    if len({*query.by, *filters}) != 1:
        return None
    (name,) = {*query.by, *filters}
    wanted = [filters[name]] if name in filters else query.among
    if wanted is None:
        return None
    values = [kept_value(name, value) for value in wanted]
    return None if None in values else [value for value in values if value is not None]


def _cells_of(sums: Grouped, kept: str, query: CellQuery, filters: Filters) -> Cells:
    cells: Cells = {}
    names = {value: kept_values(kept, value) for _, value in sums}
    for (at, value), figures in sums.items():
        named = names[value]
        if all(named[name] == wanted for name, wanted in filters.items()):
            values = tuple(named[name] for name in query.by)
            if _is_wanted(query, values):
                _add(cells, (at if query.step else None, values), figures)
    return cells


def _is_wanted(query: CellQuery, values: tuple[str, ...]) -> bool:
    return query.among is None or values[0] in query.among


def _spread(sums: Grouped, provider: str | None) -> Spread | None:
    counts: dict[int, int] = defaultdict(int)
    by_value: dict[Any, Figures] = {}
    for (_, value), figures in sums.items():
        _add(by_value, value, figures)
    for name, classes in counts_by_provider(by_value).items():
        if provider is None or name == provider:
            for place, count in classes.items():
                counts[place] += count
    return Spread.of(counts)
