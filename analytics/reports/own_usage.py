"""What one client used: by its key with those that it replaced, or by the key's user."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, Q, Sum
from django.db.models.functions import TruncDate

from analytics.models import AgentSession, ApiKey, RequestRecord
from analytics.money import MoneySum

MOST_DAYS = 92
_RECENT = 20


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose requests they are. With a ``user`` all of that user's in the tenant, else the key's."""

    tenant: str
    key: str = ""
    user: str = ""

    def rows(self) -> Q:
        """Return the filter for the owner's rows in the ledger and among the sessions."""
        if not self.key:
            return Q()
        if self.user:
            return Q(tenant=self.tenant, user_id=self.user)
        origin = ApiKey.objects.filter(prefix=self.key).values_list("origin", flat=True).first()
        keys = {self.key}
        if origin:
            keys |= {origin, *ApiKey.objects.filter(origin=origin).values_list("prefix", flat=True)}
        # Each key without a team is a tenant of its own.
        tenants = {self.tenant, *(f"key:{key}" for key in keys)}
        return Q(tenant__in=tenants, api_key__in=keys)


def own_usage(owner: Owner, since: datetime) -> dict[str, Any]:
    """Return what ``owner`` used since then: sums, by day (UTC) and model, latest requests.

    Costs and savings are USD. The same sums are there by day and by model, dearest first.
    """
    mine = owner.rows()
    rows = RequestRecord.objects.admitted().filter(mine, created_at__gte=since)
    sums: dict[str, Any] = {
        "requests": Count("pk"),
        "failed": Count("pk", filter=Q(status=RequestRecord.Status.ERROR)),
        "cache_hits": Count("pk", filter=Q(cache_hit=True)),
        "unpriced": Count("pk", filter=Q(cost=None)),
        "tokens_in": Sum("tokens_in", default=0),
        "tokens_out": Sum("tokens_out", default=0),
        "cost": MoneySum("cost"),
        "savings": MoneySum("savings"),
    }
    days = rows.annotate(day=TruncDate("created_at")).values("day").annotate(**sums)
    models = rows.values("provider", "model").annotate(**sums)
    sessions = AgentSession.objects.filter(mine, sub_agent="", last_at__gte=since)
    return {
        "since": since,
        "total": rows.aggregate(**sums),
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
