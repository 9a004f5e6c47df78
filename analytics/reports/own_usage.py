"""What one client used: by its key with those that it replaced, or by the key's user."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, Q, QuerySet, Sum
from django.db.models.functions import TruncDate

from analytics.access.keys import team_of
from analytics.models import AgentSession, ApiKey, RequestRecord
from analytics.money import MoneySum

MOST_DAYS = 92
MOST_REQUESTS = 10_000
"""The most requests that a page sums one by one."""
_RECENT = 20
SUMS: dict[str, Any] = {
    "requests": Count("pk"),
    "failed": Count("pk", filter=Q(status=RequestRecord.Status.ERROR)),
    "cache_hits": Count("pk", filter=Q(cache_hit=True)),
    "unpriced": Count("pk", filter=Q(cost=None)),
    "tokens_in": Sum("tokens_in", default=0),
    "tokens_out": Sum("tokens_out", default=0),
    "cost": MoneySum("cost"),
    "savings": MoneySum("savings"),
}


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose requests they are.

    With a ``user`` and a team they are all of that user's in the team, with a ``developer`` (the
    row's id) those of all keys that the developer owns, else those of the key.
    """

    tenant: str
    key: str = ""
    user: str = ""
    developer: int | None = None

    def rows(self) -> Q:
        """Return the filter for the owner's rows in the ledger and among the sessions.

        The beginning of a key is no other key's, so it needs no tenant.
        """
        if self.developer is not None:
            owned = ApiKey.objects.filter(developer=self.developer)
            # Of more than a hundred keys, PostgreSQL does not see by itself that none is empty,
            # as the index of keys requires.
            return Q(api_key__in=list(owned.values_list("prefix", flat=True))) & ~Q(api_key="")
        if not self.key:
            return Q()
        if self.user and team_of(self.tenant):
            return Q(tenant=self.tenant, user_id=self.user)
        origin = ApiKey.objects.filter(prefix=self.key).values_list("origin", flat=True).first()
        keys = {self.key}
        if origin:
            keys |= {origin, *ApiKey.objects.filter(origin=origin).values_list("prefix", flat=True)}
        return Q(api_key__in=sorted(keys))


@dataclass(frozen=True, slots=True)
class OwnDays:
    """The sums of own_usage by ``day`` (UTC), ``provider`` and ``model``.

    ``partly_since`` is set if there were more than :data:`MOST_REQUESTS` requests: the sums are
    of those after it.
    """

    sums: list[dict[str, Any]]
    partly_since: datetime | None = None


def own_usage(owner: Owner, since: datetime) -> dict[str, Any]:
    """Return what ``owner`` used since then: sums, by day (UTC) and model, latest requests.

    Costs and savings are USD. The same sums are there by day and by model, dearest first.
    """
    mine = owner.rows()
    rows = RequestRecord.objects.admitted().filter(mine, created_at__gte=since)
    days = rows.annotate(day=TruncDate("created_at")).values("day").annotate(**SUMS)
    models = rows.values("provider", "model").annotate(**SUMS)
    sessions = AgentSession.objects.filter(mine, sub_agent="", last_at__gte=since)
    return {
        "since": since,
        "total": rows.aggregate(**SUMS),
        "by_day": list(days.order_by("day")),
        "by_model": list(models.order_by("-cost", "provider", "model")),
        "sessions": list(
            sessions.order_by("-last_at").values(
                "session_id", "agent", "started_at", "last_at", "requests", "cost", "savings"
            )[:_RECENT]
        ),
        "requests": list(
            rows.order_by("-created_at").values(
                "id", "created_at", "status", "endpoint", "provider", "model", "session_id",
                "tokens_in", "tokens_out", "cost", "savings", "cache_hit", "latency_ms",
                "error_code",
            )[:_RECENT]
        ),
    }  # fmt: skip


def own_days(owner: Owner, since: datetime) -> OwnDays:
    """Return what ``owner`` used since then by day and model, of the latest requests."""
    rows, partly_since = latest_of(
        RequestRecord.objects.admitted().filter(owner.rows(), created_at__gte=since)
    )
    days = rows.annotate(day=TruncDate("created_at")).values("day", "provider", "model")
    sums = list(days.annotate(**SUMS).order_by("day", "provider", "model"))
    return OwnDays(sums, partly_since)


def latest_of(rows: QuerySet[Any]) -> tuple[QuerySet[Any], datetime | None]:
    """Return the latest :data:`MOST_REQUESTS` of ``rows``, and the time after which they are.

    The time is ``None`` if these are all.
    """
    times = rows.order_by("-created_at").values_list("created_at", flat=True)
    over = list(times[MOST_REQUESTS : MOST_REQUESTS + 1])
    return (rows.filter(created_at__gt=over[0]), over[0]) if over else (rows, None)
