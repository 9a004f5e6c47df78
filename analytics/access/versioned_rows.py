"""Tables that every worker re-reads within a second of a change.

Each row has a ``changed_at``, which moves with every change.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.db.models import Count, Max, Model
from django.utils import timezone

from analytics.models import ApiKey, Budget, PriceOverride

VersionedRow = ApiKey | Budget | PriceOverride


def version_of(table: type[VersionedRow]) -> tuple[datetime | None, int]:
    """Return a version that changes whenever a row does, at the same cost for any table size."""
    newest = table._default_manager.aggregate(latest=Max("changed_at"), count=Count("pk"))
    return newest["latest"], newest["count"]


def version_of_small(table: type[Model]) -> tuple[tuple[object, datetime], ...]:
    """Return a version of a table with few rows: it differs after every change, deletions too.

    Also after two that overlap, of which :func:`version_of` may miss the one that is committed
    last.
    """
    rows = table._default_manager.order_by("pk").values_list("pk", "changed_at")
    return tuple(rows)


def save_versioned(row: VersionedRow, *, only: Sequence[str] | None = None) -> None:
    """Save ``row``, or ``only`` these columns, so that every worker notices the change.

    Raises Django's ``ValidationError``.
    """
    row.full_clean()
    row.changed_at = timezone.now()
    row.save(update_fields=only)
