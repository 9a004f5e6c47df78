"""Ratings of a period's answers by some dimensions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import product
from typing import Any

from django.db.models import Case, Count, IntegerField, Sum, Value, When

from analytics.models import Feedback
from analytics.reports.exploration.cells import column_values
from analytics.reports.exploration.dimensions import Filters, filtered
from analytics.reports.exploration.scans import CellQuery, grouping
from analytics.reports.rollup_coverage import Span

MOST_RATINGS = 20_000
"""The most ratings that are read: the latest of both periods."""


@dataclass(frozen=True, slots=True)
class Ratings:
    """The number of ratings, and the sum of their scores from 0 to 1."""

    count: int = 0
    total: float = 0.0

    @property
    def mean(self) -> float | None:
        """The mean score; ``None`` without ratings."""
        return self.total / self.count if self.count else None

    def __add__(self, more: Ratings) -> Ratings:
        return Ratings(self.count + more.count, self.total + more.total)


RatingCells = dict[tuple[datetime | None, tuple[str, ...]], Ratings]


def rating_cells(queries: list[CellQuery], filters: Filters) -> list[RatingCells]:
    """Return the ratings of the answers of each query's period, by one SQL query.

    A rating belongs to the period of its request. ``among`` is not regarded. Periods must not
    overlap, and queries with steps must have the same ones.
    """
    periods = list(dict.fromkeys((query.since, query.until) for query in queries))
    names = tuple(dict.fromkeys(name for query in queries for name in query.by))
    step = next((query.step for query in queries if query.step is not None), None)
    whole = CellQuery(names, min(since for since, _ in periods), periods[0][1], step)
    cells: list[RatingCells] = [defaultdict(Ratings) for _ in queries]
    for row in _rows(whole, periods, filters):
        named = {
            name: column_values(name, row[f"value_{place}"]) for place, name in enumerate(names)
        }
        ratings = Ratings(row["rated"], row["total"] or 0.0)
        for query, own in zip(queries, cells, strict=True):
            if periods[row["period"]] == (query.since, query.until):
                at = row["at"] if query.step else None
                for values in product(*(named[name] for name in query.by)):
                    own[at, values] += ratings
    return cells


def _rows(whole: CellQuery, periods: Sequence[Span], filters: Filters) -> Any:
    # Nobody rates an answer before it was asked for, so that the index by time bounds the search.
    given = Feedback.objects.filter(created_at__gte=whole.since, request__isnull=False)
    latest = given.order_by("-created_at").values("pk")[:MOST_RATINGS]
    number = Case(
        *(
            When(request__created_at__gte=since, request__created_at__lt=until, then=Value(place))
            for place, (since, until) in enumerate(periods)
        ),
        output_field=IntegerField(),
    )
    rows = filtered(Feedback.objects.filter(pk__in=latest), filters, "request__")
    labels = {**grouping(whole, 0, len(whole.by), "request__"), "period": number}
    rows = rows.annotate(**labels).filter(period__isnull=False).values(*labels)
    return rows.annotate(rated=Count("pk"), total=Sum("score")).order_by()
