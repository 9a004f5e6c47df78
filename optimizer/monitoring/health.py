"""Health of the service, and readiness of this worker to take requests."""

from __future__ import annotations

import uuid
from typing import Any

from django.core.cache import cache
from django.db import Error, connection

from analytics.ledger.write_health import WriteHealth
from optimizer import __version__


def database_ok() -> bool:
    """Return whether the database answers."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            return bool(cursor.fetchone() == (1,))
    except Error:
        return False


def cache_ok() -> bool:
    """Return whether the shared cache (Redis, or this process's memory) stores a value."""
    key, value = f"health-{uuid.uuid4()}", "ok"
    try:
        cache.set(key, value, timeout=10)
        stored = cache.get(key) == value
        cache.delete(key)
        return bool(stored)
    except Exception:  # noqa: BLE001 - each backend raises its own errors; all mean "unavailable"
        return False


def health(
    providers: list[str], *, silent: list[str], journal_backlog: bool, can_record: bool
) -> dict[str, Any]:
    """Return the body of ``GET /health``; ``status`` is "ok" or "unavailable".

    ``silent`` are the providers from which nothing comes for calls that wait.
    """
    database, shared_cache = database_ok(), cache_ok()
    ready = database and shared_cache and can_record and bool(providers)
    return {
        "status": "ok" if ready else "unavailable",
        "version": __version__,
        "providers_available": providers,
        "providers_silent": silent,
        "database": "ok" if database else "unavailable",
        "cache": "ok" if shared_cache else "unavailable",
        "ledger_journal": "replaying" if journal_backlog else "empty",
        "records": "ok" if can_record else "unavailable",
    }


def readiness(
    providers: list[str],
    *,
    ending: bool,
    keys_known: bool,
    budgets_known: bool,
    records: WriteHealth,
) -> dict[str, Any]:
    """Return the body of ``GET /ready``; ``status`` is "ready" or "not ready", with ``reasons``.

    Readiness differs from health: without the database a worker can still answer, as long as
    it can write records to its disk; without Redis it uses its own memory. It follows from the
    outcomes of the last writes, so the answer waits for nothing.
    """
    reasons = []
    if ending:
        reasons.append("This worker is shutting down.")
    if not providers:
        reasons.append("No provider is configured.")
    if not keys_known:
        reasons.append("The API keys have not been read yet.")
    if not budgets_known:
        reasons.append("The budgets have not been read yet.")
    reasons += records.reasons()
    return {"status": "not ready" if reasons else "ready", "reasons": reasons}
