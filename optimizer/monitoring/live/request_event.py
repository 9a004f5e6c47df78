"""The event of one recorded request for watchers: no prompt, no answer, no user."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from analytics.models import RequestRecord
from analytics.reports.compared import ComparedWith, saved
from providers.attempts import UNSERVED

RequestEvent = dict[str, Any]
"""JSON-ready: ``id``, ``at`` (ISO 8601, UTC), the model that answered and why, ``cost`` and
``saved`` as decimal text in USD or ``None`` if unknown, ``latency_ms``."""


def request_event(request: RequestRecord) -> RequestEvent:
    """Return what watchers may see of ``request``."""
    return {
        "id": str(request.pk),
        "at": request.created_at.isoformat(),
        "status": request.status,
        "endpoint": request.endpoint,
        "provider": request.provider,
        "model": request.model,
        "strategy": request.strategy,
        "confidence": request.confidence,
        "pattern": request.pattern,
        "tier": request.tier,
        "cache_hit": request.cache_hit,
        "cost": _text(request.cost),
        "saved": _text(request.savings),
        "latency_ms": round(request.latency_ms, 1),
        "fallbacks": sum(one["error"] not in UNSERVED for one in request.attempts),
    }


def _text(amount: Decimal | None) -> str | None:
    return None if amount is None else f"{amount:f}"


def compare_events(
    events: Sequence[RequestEvent], compared: ComparedWith | None
) -> list[RequestEvent]:
    """Return the events with what was saved against another baseline. Reads the database."""
    if compared is None or compared.baseline is None or not events:
        return list(events)
    rows = RequestRecord.objects.filter(pk__in=[event["id"] for event in events])
    figures = {str(pk): one for (_, pk), one in compared.figures(rows).items()}
    return [{**event, "saved": _text(saved(figures.get(event["id"])))} for event in events]


def recent(most: int, after: str = "") -> list[RequestEvent]:
    """Return at most ``most`` of the latest events, oldest first.

    With ``after``, the id of a request, only events recorded after it. Reads the database.
    """
    admitted = RequestRecord.objects.admitted()
    rows = admitted.order_by("-created_at").defer("prompt", "error_detail", "tags")
    if after:
        rows = admitted.filter(pk__gt=after).order_by("-pk")
    return [request_event(row) for row in reversed(rows[:most])]
