"""Reads reports from a replica, if there is one, so that they never slow a request down.

A replica lags a little behind. Data that must be exact (budgets, keys, the cache, learning) is
always read from the database where it is written.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from django.conf import settings

ALIAS = "replica"

_elsewhere: ContextVar[bool] = ContextVar("_elsewhere", default=False)


@contextmanager
def reading_elsewhere() -> Iterator[None]:
    """Read from the replica inside this context; the data may be a moment old."""
    token = _elsewhere.set(True)
    try:
        yield
    finally:
        _elsewhere.reset(token)


def _is_elsewhere() -> bool:
    return _elsewhere.get() and ALIAS in settings.DATABASES


class ReplicaRouter:
    """Routes queries to a database, as Django's ``DATABASE_ROUTERS`` require."""

    def db_for_read(self, model: Any, **hints: Any) -> str | None:
        """Return the replica's alias inside :func:`reading_elsewhere`, else ``None``."""
        return ALIAS if _is_elsewhere() else None

    def allow_relation(self, one: Any, other: Any, **hints: Any) -> bool:
        """Allow every relation: both databases contain the same rows."""
        return True

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool | None:
        """Forbid migrations on the replica, which gets them from the main database."""
        return False if db == ALIAS else None
