"""Queries for the admin on tables of millions of rows, without reading all rows."""

from __future__ import annotations

from datetime import datetime, timedelta, tzinfo
from typing import Any, cast

from django.core.paginator import Paginator
from django.db import models
from django.utils import timezone
from django.utils.functional import cached_property

COUNTED_ROWS = 10_000
"""The most rows that a list counts; dates, filters and search lead to older rows."""


class LargeTableQuerySet(models.QuerySet[Any]):
    """Finds the periods of a date column by look-ups in its index, without reading every row."""

    def datetimes(
        self, field_name: str, kind: str, order: str = "ASC", tzinfo: tzinfo | None = None
    ) -> Any:
        """Return the starts of the periods (``year``, ``month`` or ``day``) with rows, in order.

        Each period takes one indexed look-up: the admin's date hierarchy needs at most 31 of
        them at a time.
        """
        zone = tzinfo or timezone.get_current_timezone()
        column = self.order_by(field_name).values_list(field_name, flat=True)
        starts: list[datetime] = []
        moment = column.first()
        while moment is not None:
            start = _period_start(moment.astimezone(zone), kind)
            starts.append(start)
            moment = column.filter(**{f"{field_name}__gte": _next_start(start, kind)}).first()
        return starts if order == "ASC" else starts[::-1]


def _period_start(moment: datetime, kind: str) -> datetime:
    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    if kind == "day":
        return midnight
    return midnight.replace(day=1) if kind == "month" else midnight.replace(month=1, day=1)


def _next_start(start: datetime, kind: str) -> datetime:
    days = {"day": 1, "month": 32, "year": 367}[kind]
    return _period_start(start + timedelta(days=days), kind)


class CappedPaginator(Paginator):
    """Pages through the first ``COUNTED_ROWS`` rows, and never counts more."""

    @cached_property
    def count(self) -> int:
        """Return the number of rows, at most ``COUNTED_ROWS``."""
        rows = cast("models.QuerySet[Any]", self.object_list)
        return min(rows.order_by()[: COUNTED_ROWS + 1].count(), COUNTED_ROWS)
