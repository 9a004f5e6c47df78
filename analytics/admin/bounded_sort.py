"""Lists of any length that can be sorted by columns without an index: the latest rows are."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models import F, OrderBy
from django.http import HttpRequest

from analytics.admin.compared import ComparedAdmin, ComparedChangeList

MOST_SORTED = 50_000
"""The most rows that are sorted. More would take seconds, whoever waits for them."""


def largest_first(column: str) -> OrderBy:
    """Return the order of a column whose first click shows its largest values first."""
    return F(column).desc(nulls_last=True)


class BoundedChangeList(ComparedChangeList):
    """A list that sorts its latest :data:`MOST_SORTED` rows where no index has them in order.

    ``sorted_since`` is the time of the earliest row that was left out; ``None`` if none was.
    """

    sorted_since: datetime | None = None
    most_sorted = MOST_SORTED

    def get_results(self, request: HttpRequest) -> None:
        """Read the rows of the page."""
        admin: Any = self.model_admin
        if _first_column(self.queryset) not in admin.ordered_columns:
            times = self.queryset.order_by(f"-{admin.time_column}")
            times = times.values_list(admin.time_column, flat=True)
            over = list(times[self.most_sorted : self.most_sorted + 1])
            if over:
                (self.sorted_since,) = over
                self.queryset = self.queryset.filter(**{f"{admin.time_column}__gt": over[0]})
        super().get_results(request)


class BoundedSortAdmin(ComparedAdmin):
    """A table whose list is a :class:`BoundedChangeList`.

    ``time_column`` is an indexed column of times, and ``ordered_columns`` are all columns by
    which an index has the rows in order.
    """

    time_column = "created_at"
    ordered_columns: frozenset[str] = frozenset({"created_at", "pk", "id"})

    def get_changelist(self, request: HttpRequest, **options: Any) -> type[BoundedChangeList]:
        """Return the list that bounds how many rows it sorts."""
        return BoundedChangeList


def _first_column(rows: Any) -> str:
    """Return the column that ``rows`` are sorted by first."""
    order: Any = next(iter(rows.query.order_by), "pk")
    # A computed order has no name.
    name: str = getattr(order.expression, "name", "") if isinstance(order, OrderBy) else order
    return name.lstrip("-")
