"""Rows that many writers add to."""

from __future__ import annotations

from typing import Any, TypeVar

from django.db.models import Model

Row = TypeVar("Row", bound=Model)


def locked_row(table: type[Row], **key: Any) -> Row:
    """The row with ``key``, made if there is none, locked until the transaction ends.

    Read, add and write under a lock rather than add in SQL: SQLite would add
    decimals as binary floats, and what fades needs the time of the last change.
    """
    rows = table._default_manager
    row = rows.select_for_update().filter(**key).first()
    if row is None:
        rows.bulk_create([table(**key)], ignore_conflicts=True)
        row = rows.select_for_update().get(**key)
    return row
