"""Sums over the requests of a period, grouped by some dimensions, in one SQL query.

A join of requests with their decisions would read the decisions of all time. Both are read by
their own times instead, and the parts are added up.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import (
    DateTimeField,
    IntegerField,
    Q,
    TextField,
    Value,
)
from django.db.models.functions import Cast

from analytics.models import RequestRecord, RoutingMetric
from analytics.money import MoneySum
from analytics.reports.exploration.dimensions import Filters, expression, filtered
from analytics.reports.figures import FIGURES
from analytics.reports.sum_queries import Step, no_sum, requests_in, truncated

READ = (
    "requests", "failed", "cache_hits", "tokens_in", "tokens_out", "latency_us", "streams",
    "first_token_us", "cost", "lost_cost", "baseline_cost", "routing_saved", "cache_saved",
    "prompt_cache_saved",
)  # fmt: skip
"""The figures that are read; summing takes most of the time."""

_PAIRED = Q(actual_cost__isnull=False, baseline_cost__isnull=False, routing_saved__isnull=False)
_DECIDED = {
    name: MoneySum(name, filter=_PAIRED)
    for name in ("baseline_cost", "routing_saved", "cache_saved", "prompt_cache_saved")
}
_APART = timedelta(hours=1)
"""How far the times of a request and of its decision are apart at most; they are the same."""


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


def scanned(
    queries: Sequence[CellQuery], filters: Filters, figures: Collection[str] = READ
) -> Iterator[dict[str, Any]]:
    """Yield rows of figures: "number" of the query, "value_0" and so on, "at", and "sum_cost" etc.

    Several rows belong to the same group: their figures add up. ``among`` is not regarded.
    """
    width = max(len(query.by) for query in queries)
    selects = []
    for number, query in enumerate(queries):
        requests = filtered(requests_in(query.since, query.until), filters)
        selects.append(_select(requests, "", number, query, width, figures))
        if not _DECIDED.keys().isdisjoint(figures):
            decisions = filtered(_decisions(query), filters, "request__")
            selects.append(_select(decisions, "request__", number, query, width, figures))
    yield from selects[0].union(*selects[1:], all=True) if len(selects) > 1 else selects[0]


def grouping(query: CellQuery, number: int, width: int, prefix: str) -> dict[str, Any]:
    """Return the columns that rows are grouped by; all parts of a UNION have the same ones."""
    labels: dict[str, Any] = {"number": Value(number, output_field=IntegerField())}
    for place in range(width):
        name = query.by[place] if place < len(query.by) else ""
        value = Cast(expression(name, prefix), TextField()) if name else Value("", TextField())
        labels[f"value_{place}"] = value
    # The time is empty for queries without steps.
    at = truncated(query.step, f"{prefix}created_at")
    labels["at"] = at or Cast(Value(None), DateTimeField())
    return labels


def _decisions(query: CellQuery) -> Any:
    return RoutingMetric.objects.filter(
        created_at__gte=query.since - _APART,
        created_at__lt=query.until + _APART,
        request__created_at__gte=query.since,
        request__created_at__lt=query.until,
    ).exclude(request__status=RequestRecord.Status.REFUSED)


def _select(
    rows: Any, prefix: str, number: int, query: CellQuery, width: int, figures: Collection[str]
) -> Any:
    labels = grouping(query, number, width, prefix)
    sums: dict[str, Any] = {}
    for name in figures:
        here = (name in _DECIDED) == bool(prefix)
        sums[f"sum_{name}"] = _DECIDED.get(name, FIGURES[name]) if here else no_sum(name)
    return rows.annotate(**labels).values(*labels).annotate(**sums).order_by()
