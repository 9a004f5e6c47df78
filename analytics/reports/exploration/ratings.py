"""Ratings of a period's answers by some dimensions."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from itertools import product
from typing import Any

from django.db.models import Count, Sum

from analytics.models import Feedback
from analytics.reports.exploration.cells import column_values
from analytics.reports.exploration.dimensions import Filters, filtered
from analytics.reports.exploration.scans import CellQuery, grouping

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

    A rating belongs to the period of its request. ``among`` is not regarded.
    """
    width = max(len(query.by) for query in queries)
    selects = [_select(number, query, filters, width) for number, query in enumerate(queries)]
    cells: list[RatingCells] = [defaultdict(Ratings) for _ in queries]
    for row in selects[0].union(*selects[1:], all=True) if len(selects) > 1 else selects[0]:
        query = queries[row["number"]]
        for values in product(
            *(column_values(name, row[f"value_{place}"]) for place, name in enumerate(query.by))
        ):
            cells[row["number"]][row["at"], values] += Ratings(row["rated"], row["total"] or 0.0)
    return cells


def _select(number: int, query: CellQuery, filters: Filters, width: int) -> Any:
    # Nobody rates an answer before it was asked for, so that the index by time bounds the search.
    given = Feedback.objects.filter(created_at__gte=query.since, request__isnull=False)
    latest = given.order_by("-created_at").values("pk")[:MOST_RATINGS]
    rows = Feedback.objects.filter(
        pk__in=latest, request__created_at__gte=query.since, request__created_at__lt=query.until
    )
    rows = filtered(rows, filters, "request__")
    labels = grouping(query, number, width, "request__")
    sums = {"rated": Count("pk"), "total": Sum("score")}
    return rows.annotate(**labels).values(*labels).annotate(**sums).order_by()
