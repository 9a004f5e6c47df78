"""The response cache: keys, look-ups, statistics and invalidation."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Any

from django.db import Error, connection
from django.db.models import Count, F, Q, QuerySet, Sum

from analytics.database.batcher import Batcher
from analytics.database.bulk_read import RowReader
from analytics.database.circuit_breaker import DatabaseCircuit
from analytics.encryption import UNREADABLE
from analytics.models import CachedResponse, DailyTotal, RequestRecord
from analytics.money import MoneySum, percent

logger = logging.getLogger(__name__)

_KEY_VERSION = 1
_ENTRIES = RowReader(CachedResponse, "cache_key")


def cache_key(prompt: str, *, max_tokens: int, auto_route: bool, **parameters: Any) -> str:
    """Return the SHA-256 of everything that changes the answer, as 64 hex digits."""
    parts = json.dumps(
        [_KEY_VERSION, prompt, max_tokens, auto_route, sorted(parameters.items())],
        ensure_ascii=True,
        separators=(",", ":"),
    )
    return hashlib.sha256(parts.encode("ascii")).hexdigest()


def scoped_cache_key(key: str, *owners: str) -> str:
    """Return a key that only ``owners`` share, derived from ``key``; empty if ``key`` is empty."""
    return hashlib.sha256("\0".join((key, *owners)).encode()).hexdigest() if key else ""


class CacheReader:
    """Looks up cache entries; one query serves all requests that wait.

    If the database cannot be read, the look-up is a miss and logs a warning, so
    that the client still gets an answer.
    """

    def __init__(self) -> None:
        self.database = DatabaseCircuit()
        self._batcher: Batcher[str, CachedResponse | None] = Batcher("cache-reader", self._read)

    async def find(self, key: str) -> CachedResponse | None:
        """Return the live entry under ``key``, if any: not invalidated and not expired."""
        return await self._batcher.call(key)

    def abort_stuck_wait(self) -> None:
        """End a wait for a database that hangs; call this about once a second."""
        self.database.abort_stuck_wait()

    def close(self) -> None:
        """Stop the batcher's thread."""
        self._batcher.close()

    def _read(self, keys: Sequence[str]) -> Sequence[CachedResponse | None]:
        if self.database.is_open:
            return [None] * len(keys)
        try:
            entries = self.database.ask(lambda: _find_live(keys))
        except Error as error:
            connection.close()
            if self.database.should_log():
                logger.warning("The response cache cannot be read (%s)", type(error).__name__)
            return [None] * len(keys)
        return [entries.get(key) for key in keys]


def _stored_keys(keys: Collection[str]) -> list[str]:
    """Return the keys that have an entry; this cheap query comes first, as most have none."""
    placeholders = ", ".join(["%s"] * len(keys))
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT cache_key FROM response_cache WHERE cache_key IN ({placeholders})",  # noqa: S608
            list(keys),
        )
        return [key for (key,) in cursor.fetchall()]


def _find_live(keys: Sequence[str]) -> dict[str, CachedResponse]:
    stored = _stored_keys(set(keys))
    if not stored:
        return {}
    now = datetime.now(UTC)
    return {
        entry.cache_key: entry
        for entry in _ENTRIES.read(stored)
        if entry.invalidated_at is None
        and (entry.expires_at is None or entry.expires_at > now)
        and entry.response != UNREADABLE
    }


def semantic_entries(after: int, *, limit: int) -> list[tuple[int, str, str, str]]:
    """Return the latest ``limit`` live entries with an id above ``after``, oldest first.

    Each entry is (id, semantic key, prompt, cache key).
    """
    entries = (
        CachedResponse.objects.filter(pk__gt=after, invalidated_at=None)
        .exclude(semantic_key="")
        .exclude(prompt="")
        .order_by("-pk")
        .values_list("pk", "semantic_key", "prompt", "cache_key")
    )
    return list(reversed(entries[:limit]))


def cache_stats(*, popular: int = 10, tenant: str | None = None) -> dict[str, Any]:
    """Return the cache statistics of one tenant or of all.

    They are: live and invalidated entries, hits, the share of answered requests that the
    cache served (per cent), USD saved, and the ``popular`` prompts with most hits.
    """
    entries = CachedResponse.objects.all()
    if tenant is not None:
        entries = entries.filter(tenant=tenant)
    live = entries.aggregate(
        entries=Count("pk", filter=Q(invalidated_at=None)),
        invalidated=Count("pk", filter=Q(invalidated_at__isnull=False)),
    )
    usage = _usage() if tenant is None else _tenant_usage(tenant)
    answered, hits = usage["answered"], usage["hits"]
    return {
        "total_entries": live["entries"],
        "invalidated_entries": live["invalidated"],
        "total_hits": hits,
        "hit_rate_percent": percent(hits, answered),
        "total_savings": usage["saved"],
        "popular_queries": [
            {
                "prompt": entry.prompt[:200],
                "cache_key": entry.cache_key,
                "provider": entry.provider,
                "model": entry.model,
                "hit_count": entry.hit_count,
                "savings": entry.saved_by_hits,
                "quality_score": entry.quality_score,
            }
            for entry in entries.filter(hit_count__gt=0, invalidated_at=None).order_by(
                "-hit_count", "-last_hit_at"
            )[:popular]
        ],
    }


def _usage() -> dict[str, Any]:
    return DailyTotal.objects.aggregate(
        answered=Sum(F("requests") - F("errors"), default=0),
        hits=Sum("cache_hits", default=0),
        saved=MoneySum("cache_saved"),
    )


def _tenant_usage(tenant: str) -> dict[str, Any]:
    """Sum one tenant's requests, as the daily totals are not kept by tenant."""
    requests = RequestRecord.objects.admitted().filter(tenant=tenant)
    return requests.aggregate(
        answered=Count("pk", filter=~Q(status=RequestRecord.Status.ERROR)),
        hits=Count("pk", filter=Q(cache_hit=True)),
        saved=MoneySum("decision__cache_saved"),
    )


def invalidate_entries(entries: QuerySet[CachedResponse], *, reason: str) -> int:
    """Invalidate ``entries``, so that they are no longer served; return how many were live."""
    return entries.filter(invalidated_at=None).update(
        invalidated_at=datetime.now(UTC), invalidation_reason=reason[:200]
    )
