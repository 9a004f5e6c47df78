"""Whether the service is well, and whether this worker can take requests."""

from __future__ import annotations

import uuid
from typing import Any

from django.core.cache import cache
from django.db import Error, connection

from analytics.ledger.journal import Journal
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


def readiness(
    providers: list[str],
    *,
    ending: bool,
    keys_known: bool,
    budgets_known: bool,
    journal: Journal,
) -> dict[str, Any]:
    """The body of ``GET /ready``; ``status`` is "ready" or "not ready", with ``reasons``.

    Not the same as being well: without its database a worker answers all the same, as long
    as it can keep records on its disk; without Redis it answers by its own memory.
    """
    reasons = []
    if ending:
        reasons.append("This worker is ending.")
    if not providers:
        reasons.append("No provider is configured.")
    if not keys_known:
        reasons.append("The API keys have not been read yet.")
    if not budgets_known:
        reasons.append("The budgets have not been read yet.")
    # In this order: a database that hangs is waited for.
    if not journal.writable() and not database_ok():
        reasons.append("Neither the database nor the journal on disk can be written.")
    return {"status": "not ready" if reasons else "ready", "reasons": reasons}
