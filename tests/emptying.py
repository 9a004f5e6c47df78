"""Empties the database after a test: only the tables that hold rows, and no permission made anew.

Django's ``flush`` looks at all tables' names, empties every one (on PostgreSQL with TRUNCATE, which
makes each file anew), and makes permissions and roles again, though they are the same after nearly
every test. That took half of the time of the whole suite.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from django.core.management.sql import emit_post_migrate_signal
from django.db import connections, transaction
from django.test import TransactionTestCase

_MADE_BY_MIGRATE = (
    "django_content_type", "auth_permission", "auth_group", "auth_group_permissions",
)  # fmt: skip
_as_made: dict[str, tuple[Any, ...]] = {}


def empty_quickly() -> None:
    """Let tests that commit leave the database as ``migrate`` made it."""
    TransactionTestCase._fixture_teardown = _empty  # type: ignore[attr-defined]


def _empty(test: Any) -> None:
    for alias in test._databases_names(include_mirrors=False):
        connection = connections[alias]
        kept = _as_made.get(alias) == _state(connection)
        if not kept:
            _as_made.pop(alias, None)
        spared = _MADE_BY_MIGRATE if kept else ()
        with transaction.atomic(using=alias), connection.cursor() as cursor:
            # What refers to what is looked at last.
            for table in _with_rows(cursor, alias):
                if table not in spared:
                    cursor.execute(f"DELETE FROM {table}")
        if not kept:
            emit_post_migrate_signal(0, False, alias)
            _as_made[alias] = _state(connection)


def _with_rows(cursor: Any, alias: str) -> list[str]:
    cursor.execute(_question(alias))
    return [table for (table,) in cursor.fetchall()]


@cache
def _question(alias: str) -> str:
    """A statement that names each table that holds a row."""
    names = connections[alias].introspection.django_table_names(
        only_existing=True, include_views=False
    )
    return " UNION ALL ".join(
        f"SELECT '{name}' WHERE EXISTS (SELECT 1 FROM {name})" for name in names
    )


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
