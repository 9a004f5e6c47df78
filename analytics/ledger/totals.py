"""Sums that must be there at once: of days from their totals, of minutes from their requests."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import Count, Q, Sum
from django.db.models.functions import TruncMinute

from analytics.models import DailyTotal, RequestRecord
from analytics.money import MoneySum, percent


def savings_summary(today: date | None = None) -> list[dict[str, Any]]:
    """Spent and saved today, in the last 7 and 30 days, and in all, USD."""
    today = today or datetime.now(UTC).date()
    periods = [
        ("Today", today),
        ("Last 7 days", today - timedelta(days=6)),
        ("Last 30 days", today - timedelta(days=29)),
        ("All time", date.min),
    ]
    return [{"label": label, **sums_since(start)} for label, start in periods]


def sums_since(start: date) -> dict[str, Any]:
    """Requests, hits, spent and saved (USD) from the UTC day ``start`` on."""
    sums = DailyTotal.objects.filter(date__gte=start).aggregate(
        total_requests=Sum("requests", default=0),
        total_hits=Sum("cache_hits", default=0),
        spent=MoneySum("cost"),
        by_routing=MoneySum("routing_saved"),
        by_cache=MoneySum("cache_saved"),
    )
    saved = sums["by_routing"] + sums["by_cache"]
    baseline = sums["spent"] + saved
    return {
        **sums,
        "saved": saved,
        "percent": percent(saved, baseline, places=1),
    }


def minute_sums(since: datetime) -> dict[datetime, dict[str, Any]]:
    """``requests``, how many of them ``failed``, ``spent`` and ``saved`` (USD) of each UTC minute
    from ``since`` on in which something was asked. Reads the requests.
    """
    rows: Any = RequestRecord.objects.filter(created_at__gte=since)
    rows = rows.annotate(at=TruncMinute("created_at", tzinfo=UTC)).values("at")
    rows = rows.annotate(
        requests=Count("pk"),
        failed=Count("pk", filter=Q(status=RequestRecord.Status.ERROR)),
        spent=MoneySum("cost"),
        saved=MoneySum("savings"),
    ).order_by()
    return {row.pop("at"): row for row in rows}


def model_sums(start: date) -> dict[tuple[str, str], tuple[int, Decimal]]:
    """Requests and USD spent from the UTC day ``start`` on, by (provider, model)."""
    rows = (
        DailyTotal.objects.filter(date__gte=start)
        .values("provider", "model")
        .annotate(count=Sum("requests"), spent=MoneySum("cost"))
        .values_list("provider", "model", "count", "spent")
    )
    return {(provider, model): (count, spent) for provider, model, count, spent in rows}


def known_values(field: str) -> list[str]:
    """The providers or models that have answered so far, without reading the ledger."""
    return list(
        DailyTotal.objects.exclude(**{field: ""})
        .order_by(field)
        .values_list(field, flat=True)
        .distinct()
    )
