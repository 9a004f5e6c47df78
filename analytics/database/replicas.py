"""Reports read from a replica, where there is one, so that they never slow a request down.

A replica is a little behind. What must be exact now (budgets, keys, the cache, learning)
is always read where it is written.
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
    """What is read inside may be a moment old."""
    token = _elsewhere.set(True)
    try:
        yield
    finally:
        _elsewhere.reset(token)


def _is_elsewhere() -> bool:
    return _elsewhere.get() and ALIAS in settings.DATABASES


class ReplicaRouter:
    """Django's way to choose a database."""

    def db_for_read(self, model: Any, **hints: Any) -> str | None:
        return ALIAS if _is_elsewhere() else None

    def allow_relation(self, one: Any, other: Any, **hints: Any) -> bool:
        return True  # they are the same rows

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool | None:
        return False if db == ALIAS else None
