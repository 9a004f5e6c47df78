"""The figures of a period by some dimensions, from kept sums or from the requests themselves."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import product
from typing import Any

from django.db.models import DateTimeField, IntegerField, TextField, Value
from django.db.models.functions import Cast

from analytics.models import RequestRecord
from analytics.reports.breakdown import NONE
from analytics.reports.durations import Spread, counts_by_provider
from analytics.reports.exploration.dimensions import (
    Filters,
    expression,
    filtered,
    kept_for,
    kept_value,
    kept_values,
    shown,
)
from analytics.reports.figures import FIGURES, LISTS, Figures, add_figures, no_figures
from analytics.reports.rollup_coverage import RollupCoverage, Span
from analytics.reports.sum_queries import (
    Grouped,
    Step,
    SumQuery,
    requests_in,
    sums_together,
    truncated,
)

READ = (
    "requests", "failed", "cache_hits", "tokens_in", "tokens_out", "latency_us", "streams",
    "first_token_us", "cost", "lost_cost", "baseline_cost", "routing_saved", "cache_saved",
    "prompt_cache_saved",
)  # fmt: skip
"""The figures that are read; summing takes most of the time."""
MOST_REQUESTS = 50_000
"""The most requests of a period and the one before that one question reads."""
_INDEXED = ("session", "user", "team", "model", "endpoint")
"""Dimensions of which the requests of one value are found in their order, fewest first."""

Cells = dict[tuple[datetime | None, tuple[str, ...]], Figures]
"""Figures by (start of the step, values); the start is ``None`` without steps."""


@dataclass(frozen=True, slots=True)
class CellQuery:
    """A query for the figures of ``[since, until)`` by dimensions, and by ``step`` if given.

    With ``among``, only these values of the first dimension are wanted.
    """

    by: tuple[str, ...]
    since: datetime
    until: datetime
    step: Step | None = None
    among: Collection[str] | None = None


def is_kept(dimensions: Iterable[str]) -> bool:
    """Return whether there are sums that hold all ``dimensions``."""
    return kept_for(frozenset(dimensions)) is not None


def kept_cells(
    queries: Sequence[CellQuery],
    filters: Filters,
    horizon: RollupCoverage,
    durations: Sequence[Span] = (),
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
    grouped = sums_together(sum_queries, horizon, None, READ)
    cells = [
        _cells_of(sums[name or ""], name or "", query, filters)
        for name, query, sums in zip(kept, queries, grouped, strict=False)
    ]
    provider = filters.get("provider")
    spreads = [_spread(sums["latency"], provider) for sums in grouped[len(queries) :]]
    return cells, spreads


def row_cells(queries: Sequence[CellQuery], filters: Filters) -> list[Cells]:
    """Return each query's cells, read from the requests by one SQL query."""
    width = max(len(query.by) for query in queries)
    selects = [_select(number, query, filters, width) for number, query in enumerate(queries)]
    cells: list[Cells] = [defaultdict(_zero) for _ in queries]
    for row in selects[0].union(*selects[1:], all=True) if len(selects) > 1 else selects[0]:
        query = queries[row["number"]]
        figures = {name: row[f"sum_{name}"] for name in READ}
        for values in product(
            *(column_values(name, row[f"value_{place}"]) for place, name in enumerate(query.by))
        ):
            if _is_wanted(query, values):
                add_figures(cells[row["number"]][row["at"], values], figures)
    return cells


def readable_span(filters: Filters, before: datetime, until: datetime) -> datetime:
    """Return the start of the part of ``[before, until)`` that can be read request by request.

    It has at most :data:`MOST_REQUESTS` requests that could have the values of ``filters``.
    """
    served = next((name for name in _INDEXED if filters.get(name, NONE) != NONE), None)
    rows = RequestRecord.objects.filter(created_at__gte=before, created_at__lt=until)
    if served is not None:
        rows = filtered(rows, {served: filters[served]})
    times = rows.order_by("-created_at").values_list("created_at", flat=True)
    over = list(times[MOST_REQUESTS : MOST_REQUESTS + 1])
    return over[0] if over else before


def column_values(name: str, text: str) -> list[str]:
    """Return the values of a dimension for people, from its column as text."""
    if name in LISTS:
        return [shown(name, value) for value in dict.fromkeys(json.loads(text))] or [NONE]
    return [shown(name, text)]


def _zero() -> Figures:
    zero = no_figures()
    return {name: zero[name] for name in READ}


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
    cells: Cells = defaultdict(_zero)
    for (at, value), figures in sums.items():
        named = kept_values(kept, value)
        if all(named[name] == wanted for name, wanted in filters.items()):
            values = tuple(named[name] for name in query.by)
            if _is_wanted(query, values):
                add_figures(cells[at if query.step else None, values], figures)
    return cells


def _is_wanted(query: CellQuery, values: tuple[str, ...]) -> bool:
    return query.among is None or values[0] in query.among


def _spread(sums: Grouped, provider: str | None) -> Spread | None:
    counts: dict[int, int] = defaultdict(int)
    by_value: dict[str, Figures] = defaultdict(_zero)
    for (_, value), figures in sums.items():
        add_figures(by_value[value], figures)
    for name, classes in counts_by_provider(by_value).items():
        if provider is None or name == provider:
            for place, count in classes.items():
                counts[place] += count
    return Spread.of(counts)


def _select(number: int, query: CellQuery, filters: Filters, width: int) -> Any:
    rows = filtered(requests_in(query.since, query.until), filters)
    labels: dict[str, Any] = {"number": Value(number, output_field=IntegerField())}
    for place in range(width):
        name = query.by[place] if place < len(query.by) else ""
        value = Cast(expression(name), TextField()) if name else Value("", TextField())
        labels[f"value_{place}"] = value
    # All parts of a UNION have a time, which is empty for those without steps.
    labels["at"] = truncated(query.step, "created_at") or Cast(Value(None), DateTimeField())
    sums = {f"sum_{name}": FIGURES[name] for name in READ}
    return rows.annotate(**labels).values(*labels).annotate(**sums).order_by()
