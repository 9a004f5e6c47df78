"""Reads pages from the demo: an SQLite file of its own, so that no demo row is in a real table.

The file is opened as one that nobody changes, so that a page that shows it cannot write to it.
Its connection exists only while a page reads it: migrations, checks and other pages never see it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.sqlite3.base import DatabaseWrapper

ALIAS = "demo"
_TABLES = frozenset({"analytics", "admin"})
"""Apps that are read from the demo. Users, sessions and permissions stay those of the service."""
_MIGRATIONS = Path(__file__).parent.parent / "migrations"

_shown: ContextVar[bool] = ContextVar("_shown", default=False)


def demo_folder() -> Path:
    """Return the folder of the demo's files."""
    return Path(settings.DATA_DIR) / "demo"


def demo_database() -> Path:
    """Return the file of the demo for the tables of this release; it need not exist."""
    return demo_folder() / f"demo-{_tables_version()}.sqlite3"


@cache
def _tables_version() -> str:
    """Return the name of the latest migration: a demo of other tables cannot be shown."""
    return max(path.stem for path in _MIGRATIONS.glob("[0-9]*.py"))


@contextmanager
def reading_demo() -> Iterator[None]:
    """Read the ledger's tables from the demo inside this context; nothing can be written to them.

    Raises Django's ``OperationalError`` at the first query if there is no demo.
    """
    connection = DatabaseWrapper(_database(), ALIAS)
    connections[ALIAS] = connection
    token = _shown.set(True)
    try:
        yield
    finally:
        _shown.reset(token)
        connection.close()
        del connections[ALIAS]


def is_reading_demo() -> bool:
    """Return whether the ledger's tables are now read from the demo."""
    return _shown.get()


def _database() -> dict[str, Any]:
    name = f"file:{quote(str(demo_database()))}?mode=ro&immutable=1"
    own = {"ENGINE": "django.db.backends.sqlite3", "NAME": name}
    configured: dict[str, Any] = connections.configure_settings({DEFAULT_DB_ALIAS: {}, ALIAS: own})
    return configured[ALIAS]  # type: ignore[no-any-return]


class DemoRouter:
    """Routes queries to the demo, as Django's ``DATABASE_ROUTERS`` require."""

    def db_for_read(self, model: Any, **hints: Any) -> str | None:
        """Return the demo's alias inside :func:`reading_demo` for tables that it has."""
        return ALIAS if _shown.get() and model._meta.app_label in _TABLES else None

    db_for_write = db_for_read

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool | None:
        """Forbid migrations: the demo is made anew instead."""
        return False if db == ALIAS else None
