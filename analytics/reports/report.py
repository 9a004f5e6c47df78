"""The figures of ``routing_report``: the costs, savings and quality of one period."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.conf import settings

from analytics.ledger.refusals import refusals_since
from analytics.money import percent
from analytics.quality.report import quality_report
from analytics.quality.session_moves import move_figures
from analytics.quality.shadow import shadow_summary
from analytics.reports.breakdown import breakdown
from analytics.reports.levers import lever_lines
from analytics.reports.sum_sources import RECORDED, CachedSums, ReportSums, total_of
from analytics.reports.token_adjusted_savings import adjusted_savings
from analytics.reports.turn_gaps import keep_alive_figures
from analytics.reports.usage import basis_costs, model_costs, period_start, routing_metrics

_MOST_BARS = 12
COMPLEXITY = "complexity's choice"


def routing_report(
    days: int,
    now: datetime | None = None,
    *,
    by: str | None = None,
    sums: ReportSums = RECORDED,
    baseline: str = COMPLEXITY,
    shadow_margin: float | None = None,
) -> dict[str, Any]:
    """Return savings and quality, and breakdowns by strategy, confidence, provider, model, day.

    Money is ``Decimal`` USD. ``empty`` is true if nothing was recorded. With ``by``
    (one of :data:`analytics.reports.breakdown.DIMENSIONS`), there is a ``breakdown`` too.
    ``sums`` are compared with a baseline that is named ``baseline``. ``shadow_margin`` is how much
    worse, in wins of 1, a kind of requests may be to be moved; the environment's if it is ``None``.
    """
    now = now or datetime.now(UTC)
    margin = settings.SHADOW_MARGIN if shadow_margin is None else shadow_margin
    since, sums = period_start(days, now), CachedSums(sums)
    totals = total_of(sums.by("strategy", since))
    answered = totals["requests"] - totals["failed"]
    metrics = routing_metrics(days, now, sums)
    savings = metrics["cost_savings"]
    adjusted, lengths = adjusted_savings(savings, sums.by("answer", since))
    chosen = {"breakdown": {"by": by, "rows": breakdown(by, since, source=sums)}} if by else {}
    return {
        "period": {"days": days, "from": since, "to": now},
        "baseline": baseline,
        "empty": totals["requests"] == 0,
        "totals": {
            "requests": totals["requests"],
            "failed": totals["failed"],
            "cost": totals["cost"],
            "failed_attempts_cost": totals["failed_cost"],
            "avg_latency_ms": round(totals["latency_us"] / 1000 / (totals["requests"] or 1), 2),
        },
        "savings": savings,
        "adjusted": adjusted,
        "quality": quality_report(settings.QUALITY_TOLERANCE, since),
        "by_strategy": metrics["by_strategy"],
        "by_confidence": metrics["by_confidence"],
        "by_provider": metrics["by_provider"],
        "by_model": model_costs(since, sums),
        "by_basis": basis_costs(since, sums),
        "answer_lengths": lengths,
        "cache": {
            "hits": totals["cache_hits"],
            "hit_rate_percent": percent(totals["cache_hits"], answered),
            "saved": savings["cache_saved"],
        },
        "prompt_cache": {
            "saved": totals["prompt_cache_saved"],
            "saved_by_own_marks": totals["marks_saved"],
        },
        "keep_alive": keep_alive_figures(since),
        "moves_up": move_figures(since),
        "shadow": shadow_summary(since, margin),
        "levers": lever_lines(days),
        "refusals": refusals_since(since),
        "by_day": _by_day(since, now, sums),
        **chosen,
    }


def report_with_charts(days: int, *, sums: ReportSums = RECORDED, **options: Any) -> dict[str, Any]:
    """Return :func:`routing_report` with the rows of its charts: ``days`` and ``models``."""
    sums = CachedSums(sums)
    report = routing_report(days, sums=sums, **options)
    since = report["period"]["from"]
    return {
        **report,
        "days": breakdown("day", since, source=sums),
        "models": breakdown("model", since, most=_MOST_BARS, source=sums),
    }


def _by_day(since: datetime, now: datetime, sums: ReportSums) -> list[dict[str, Any]]:
    """Return one row per UTC day, including days without requests, oldest first."""
    rows = {row["name"]: row for row in breakdown("day", since, source=sums)}
    empty = {"requests": 0, "cost": Decimal(0), "saved": Decimal(0)}
    days = []
    day = since.date()
    while day <= now.date():
        row = rows.get(day.isoformat(), empty)
        days.append({"date": day, **{figure: row[figure] for figure in empty}})
        day += timedelta(days=1)
    return days
