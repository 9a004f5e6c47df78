"""Whether the service can do its work right now."""

from __future__ import annotations

import uuid
from typing import Any

from django.core.cache import cache
from django.db import Error, connection

from optimizer import __version__


def database_ok() -> bool:
    """Whether the database answers."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            return bool(cursor.fetchone() == (1,))
    except Error:
        return False


def cache_ok() -> bool:
    """Whether the shared cache (Redis, or this process's memory) keeps what it is given."""
    key, value = f"health-{uuid.uuid4()}", "ok"
    try:
        cache.set(key, value, timeout=10)
        kept = cache.get(key) == value
        cache.delete(key)
        return bool(kept)
    except Exception:  # noqa: BLE001 - each backend raises errors of its own kind; all mean "not well"
        return False


def health(providers: list[str], *, journal_backlog: bool) -> dict[str, Any]:
    """The body of ``GET /health``; ``status`` is "ok" or "unavailable"."""
    database, shared_cache = database_ok(), cache_ok()
    ready = database and shared_cache and bool(providers)
    return {
        "status": "ok" if ready else "unavailable",
        "version": __version__,
        "providers_available": providers,
        "database": "ok" if database else "unavailable",
        "cache": "ok" if shared_cache else "unavailable",
        "ledger_journal": "replaying" if journal_backlog else "empty",
    }
