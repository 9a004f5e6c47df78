"""Locks for rows that many writers change."""

from __future__ import annotations

from typing import Any, TypeVar

from django.db import connection
from django.db.models import Model

Row = TypeVar("Row", bound=Model)


def locked_row(table: type[Row], **key: Any) -> Row:
    """Return the row with ``key``, created if missing, and locked until the transaction ends.

    Callers read, add and write under the lock, and do not add in SQL: SQLite would add
    decimals as binary floats, and values that fade with time need the time of the last change.
    """
    rows = table._default_manager
    row = rows.select_for_update().filter(**key).first()
    if row is None:
        rows.bulk_create([table(**key)], ignore_conflicts=True)
        row = rows.select_for_update().get(**key)
    return row


def one_at_a_time(what: str) -> None:
    """Let the transactions that change ``what`` go on from here one after the other.

    For checks over several rows, of which some may not exist yet, so that no row can be locked.
    SQLite has one writer anyway.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", [what])
