"""The response cache: keys, look-ups, what its statistics say."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Any

from django.db import Error, connection
from django.db.models import Count, F, Q, QuerySet, Sum

from analytics.database.availability import DatabaseCircuit
from analytics.database.batcher import Batcher
from analytics.database.bulk_read import RowReader
from analytics.encryption import UNREADABLE
from analytics.models import CachedResponse, DailyTotal, RequestRecord
from analytics.money import MoneySum, percent

logger = logging.getLogger(__name__)

_KEY_VERSION = 1
_ENTRIES = RowReader(CachedResponse, "cache_key")


def cache_key(prompt: str, *, max_tokens: int, auto_route: bool, **parameters: Any) -> str:
    """SHA-256 over everything that changes the answer, as 64 hex digits."""
    parts = json.dumps(
        [_KEY_VERSION, prompt, max_tokens, auto_route, sorted(parameters.items())],
        ensure_ascii=True,
        separators=(",", ":"),
    )
    return hashlib.sha256(parts.encode("ascii")).hexdigest()


def scoped_cache_key(key: str, *owners: str) -> str:
    """``key`` as ``owners`` alone have it; empty where it is."""
    return hashlib.sha256("\0".join((key, *owners)).encode()).hexdigest() if key else ""


class CacheReader:
    """Looks entries up, many waiting requests in one query.

    A database that cannot be read is a miss, with a warning: the client still
    gets an answer.
    """

    def __init__(self) -> None:
        self.database = DatabaseCircuit()
        self._batcher: Batcher[str, CachedResponse | None] = Batcher("cache-reader", self._read)

    async def find(self, key: str) -> CachedResponse | None:
        """The live entry under ``key``, if any: not invalidated and not expired."""
        return await self._batcher.call(key)

    def abort_stuck_wait(self) -> None:
        """End a wait for a database that hangs; to be called every second or so."""
        self.database.abort_stuck_wait()

    def close(self) -> None:
        self._batcher.close()

    def _read(self, keys: Sequence[str]) -> Sequence[CachedResponse | None]:
        if self.database.is_open:
            return [None] * len(keys)
        try:
            found = self.database.ask(lambda: _find_live(keys))
        except Error as error:
            connection.close()
            if self.database.should_log():
                logger.warning("The response cache cannot be read (%s)", type(error).__name__)
            return [None] * len(keys)
        return [found.get(key) for key in keys]


def _known(keys: Collection[str]) -> list[str]:
    """Those of them that have an entry: asked first, as most have none."""
    marks = ", ".join(["%s"] * len(keys))
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT cache_key FROM response_cache WHERE cache_key IN ({marks})",  # noqa: S608
            list(keys),
        )
        return [key for (key,) in cursor.fetchall()]


def _find_live(keys: Sequence[str]) -> dict[str, CachedResponse]:
    known = _known(set(keys))
    if not known:
        return {}
    now = datetime.now(UTC)
    return {
        entry.cache_key: entry
        for entry in _ENTRIES.read(known)
        if entry.invalidated_at is None
        and (entry.expires_at is None or entry.expires_at > now)
        and entry.response != UNREADABLE
    }


def semantic_entries(after: int, *, limit: int) -> list[tuple[int, str, str, str]]:
    """Id, semantic key, prompt and cache key of live entries after the id ``after``: the
    latest ``limit``, oldest first.
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
    """Live entries, hits, the share of requests served from cache, USD saved, popular prompts:
    of one tenant or of all.
    """
    entries = CachedResponse.objects.all()
    if tenant is not None:
        entries = entries.filter(tenant=tenant)
    live = entries.aggregate(
        entries=Count("pk", filter=Q(invalidated_at=None)),
        invalidated=Count("pk", filter=Q(invalidated_at__isnull=False)),
    )
    served = _served() if tenant is None else _served_to(tenant)
    answered, hits = served["answered"], served["hits"]
    return {
        "total_entries": live["entries"],
        "invalidated_entries": live["invalidated"],
        "total_hits": hits,
        "hit_rate_percent": percent(hits, answered),
        "total_savings": served["saved"],
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


def _served() -> dict[str, Any]:
    return DailyTotal.objects.aggregate(
        answered=Sum(F("requests") - F("errors"), default=0),
        hits=Sum("cache_hits", default=0),
        saved=MoneySum("cache_saved"),
    )


def _served_to(tenant: str) -> dict[str, Any]:
    """The daily totals know no tenants, so from the rows."""
    requests = RequestRecord.objects.filter(tenant=tenant)
    return requests.aggregate(
        answered=Count("pk", filter=~Q(status=RequestRecord.Status.ERROR)),
        hits=Count("pk", filter=Q(cache_hit=True)),
        saved=MoneySum("decision__cache_saved"),
    )


def invalidate_entries(entries: QuerySet[CachedResponse], *, reason: str) -> int:
    """Stop serving ``entries``; how many were live until now."""
    return entries.filter(invalidated_at=None).update(
        invalidated_at=datetime.now(UTC), invalidation_reason=reason[:200]
    )
