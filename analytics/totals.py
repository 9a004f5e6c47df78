"""Sums that must be there at once, read from the daily totals."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import Sum

from analytics.models import DailyTotal
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
