"""Empties the database after a test without making all permissions and roles anew.

They are the same after every test, but making them took half of the time of the whole suite.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core.management.commands import flush
from django.db import connections

_MADE_BY_MIGRATE = (
    "django_content_type", "auth_permission", "auth_group", "auth_group_permissions",
)  # fmt: skip
_as_made: dict[str, tuple[Any, ...]] = {}
_signal = flush.emit_post_migrate_signal


def keep_what_migrate_makes() -> None:
    """Let Django's ``flush`` keep permissions and roles that a test has not touched."""
    flush.sql_flush = _statements  # type: ignore[attr-defined]
    flush.emit_post_migrate_signal = _make_again  # type: ignore[attr-defined]


def _statements(style: Any, connection: Any, **options: Any) -> Sequence[str]:
    tables = connection.introspection.django_table_names(only_existing=True, include_views=False)
    if _as_made.get(connection.alias) == _state(connection):
        tables = [table for table in tables if table not in _MADE_BY_MIGRATE]
    else:
        _as_made.pop(connection.alias, None)
    return connection.ops.sql_flush(style, tables, **options)  # type: ignore[no-any-return]


def _make_again(verbosity: int, interactive: bool, db: str, **options: Any) -> None:
    if db not in _as_made:
        _signal(verbosity, interactive, db, **options)
        _as_made[db] = _state(connections[db])


def _state(connection: Any) -> tuple[Any, ...]:
    """What the rows amount to: how many there are, the last one, and the names of the roles."""
    counts = ", ".join(
        f"(SELECT COUNT(*) FROM {table}), (SELECT MAX(id) FROM {table})"
        for table in _MADE_BY_MIGRATE
    )
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {counts}")
        row = cursor.fetchone()
        cursor.execute("SELECT name FROM auth_group ORDER BY id")
        return (*row, *cursor.fetchall())
