"""The figures of ``routing_report``: one period, everything a finance lead asks first."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from analytics.breakdown import breakdown
from analytics.metrics import model_costs, period_start, routing_metrics
from analytics.money import percent
from analytics.summing import period_total

_MOST_BARS = 12


def routing_report(
    days: int, now: datetime | None = None, *, by: str | None = None
) -> dict[str, Any]:
    """Savings, strategies, confidence, providers, models, cache and a trend by day.

    Money is ``Decimal`` USD. ``empty`` is true when nothing was recorded. With ``by``
    (one of :data:`analytics.breakdown.DIMENSIONS`) there is a ``breakdown`` too.
    """
    now = now or datetime.now(UTC)
    since = period_start(days, now)
    totals = period_total(since)
    answered = totals["requests"] - totals["failed"]
    metrics = routing_metrics(days, now)
    asked = {"breakdown": {"by": by, "rows": breakdown(by, since)}} if by else {}
    return {
        "period": {"days": days, "from": since, "to": now},
        "empty": totals["requests"] == 0,
        "totals": {
            "requests": totals["requests"],
            "failed": totals["failed"],
            "cost": totals["cost"],
            "failed_attempts_cost": totals["failed_cost"],
            "avg_latency_ms": round(totals["latency_us"] / 1000 / (totals["requests"] or 1), 2),
        },
        "savings": metrics["cost_savings"],
        "by_strategy": metrics["by_strategy"],
        "by_confidence": metrics["by_confidence"],
        "by_provider": metrics["by_provider"],
        "by_model": model_costs(since),
        "cache": {
            "hits": totals["cache_hits"],
            "hit_rate_percent": percent(totals["cache_hits"], answered),
            "saved": metrics["cost_savings"]["cache_saved"],
        },
        "by_day": _by_day(since, now),
        **asked,
    }


def report_for_pictures(days: int, *, by: str | None = None) -> dict[str, Any]:
    """:func:`routing_report` with what its charts show: ``days`` and ``models``, broken down."""
    report = routing_report(days, by=by)
    since = report["period"]["from"]
    return {
        **report,
        "days": breakdown("day", since),
        "models": breakdown("model", since, most=_MOST_BARS),
    }


def _by_day(since: datetime, now: datetime) -> list[dict[str, Any]]:
    """One row a UTC day, days without requests included, oldest first."""
    known = {row["name"]: row for row in breakdown("day", since)}
    nothing = {"requests": 0, "cost": Decimal(0), "saved": Decimal(0)}
    days = []
    day = since.date()
    while day <= now.date():
        row = known.get(day.isoformat(), nothing)
        days.append({"date": day, **{figure: row[figure] for figure in nothing}})
        day += timedelta(days=1)
    return days
