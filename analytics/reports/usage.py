"""Statistics of requests and decisions for the JSON endpoints. All sums are done in SQL."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import Avg, Count, F, Q, Sum

from analytics.ledger.savings import cost_savings
from analytics.models import RequestRecord
from analytics.money import MoneySum, percent
from analytics.reports.compared import ComparedWith, saved
from analytics.reports.figures import Figures, add_figures, no_figures
from analytics.reports.sum_queries import requests_in
from analytics.reports.sum_sources import RECORDED, ReportSums, TenantSums

# Includes partial answers, as the part that was delivered was charged too.
_ANSWERED = ~Q(status=RequestRecord.Status.ERROR)


def period_start(days: int, now: datetime | None = None) -> datetime:
    """Return the moment ``days`` times 24 hours ago."""
    return (now or datetime.now(UTC)) - timedelta(days=days)


def average(total: Decimal, count: int) -> Decimal:
    """Return USD per request; zero without requests."""
    return (total / count).quantize(Decimal("1e-10")) if count else Decimal(0)


def routing_metrics(
    days: int,
    now: datetime | None = None,
    sums: ReportSums = RECORDED,
    *,
    tenant: str | None = None,
) -> dict[str, Any]:
    """Return savings and averages of the last ``days`` days, by strategy, confidence, provider.

    With a ``tenant``, only its requests count, and no cost of judging, as that belongs to no
    tenant; other ``sums`` than the recorded ones must be those of the tenant.
    """
    since = period_start(days, now)
    judging = None
    if tenant is not None:
        sums, judging = TenantSums(tenant) if sums is RECORDED else sums, Decimal(0)
    savings = cost_savings(since, sums=sums, judging=judging)
    return {
        "cost_savings": {**savings, "period_days": days},
        "by_strategy": [
            {
                "strategy": name,
                "count": figures["decided"],
                "avg_cost": average(figures["cost"], figures["priced"]),
                "high_confidence_pct": percent(figures["high"], figures["decided"]),
            }
            for name, figures in _most_first(sums.by("strategy", since))
        ],
        "by_confidence": [
            {
                "confidence": name,
                "count": figures["decided"],
                "avg_cost": average(figures["cost"], figures["priced"]),
            }
            for name, figures in _most_first(sums.by("confidence", since))
        ],
        "by_provider": [
            {
                "provider": name,
                "count": figures["decided"],
                "total_cost": figures["cost"],
                "avg_cost": average(figures["cost"], figures["priced"]),
            }
            for name, figures in _most_first(by_provider(sums.by("model", since)))
        ],
    }


def model_costs(since: datetime, sums: ReportSums = RECORDED) -> list[dict[str, Any]]:
    """Return what each model's requests cost and saved by routing, most requests first."""
    return [
        {
            "provider": name.split("/", 1)[0],
            "model": name.split("/", 1)[1],
            "count": figures["decided"],
            "total_cost": figures["cost"],
            "avg_cost": average(figures["cost"], figures["priced"]),
            "routing_saved": figures["routing_saved"],
        }
        for name, figures in _most_first(sums.by("model", since))
    ]


def basis_costs(since: datetime, sums: ReportSums = RECORDED) -> list[dict[str, Any]]:
    """Return how the costs are known: requests and USD by basis, the largest cost first.

    Requests that were not charged have none.
    """
    rows = [
        {"basis": name, "count": figures["requests"], "total_cost": figures["cost"]}
        for name, figures in sums.by("basis", since).items()
        if name
    ]
    return sorted(rows, key=lambda row: (-row["total_cost"], row["basis"]))


def _most_first(sums: Mapping[str, Figures]) -> list[tuple[str, Figures]]:
    """Return the values that have decisions, most decisions first."""
    decided = [(name, figures) for name, figures in sums.items() if figures["decided"]]
    return sorted(decided, key=lambda item: (-item[1]["decided"], item[0]))


def by_provider(models: Mapping[str, Figures]) -> dict[str, Figures]:
    """Sum the figures of "provider/model" by provider."""
    sums: dict[str, Figures] = defaultdict(no_figures)
    for model, figures in models.items():
        add_figures(sums[model.split("/", 1)[0]], figures)
    return sums


def usage_stats(
    *, recent: int = 10, tenant: str | None = None, compared: ComparedWith | None = None
) -> dict[str, Any]:
    """Return statistics of all recorded requests, of one tenant or of all.

    Savings are ``compared`` with its baseline, by default the recorded one.

    They are: totals, sums by provider and by tier, and the ``recent`` latest requests.
    """
    requests = RequestRecord.objects.admitted()
    if tenant is not None:
        requests = requests.filter(tenant=tenant)
    overall = requests.aggregate(
        total_requests=Count("pk"),
        failed_requests=Count("pk", filter=~_ANSWERED),
        cache_hits=Count("pk", filter=Q(cache_hit=True)),
        unpriced_requests=Count("pk", filter=Q(cost=None)),
        total_cost=MoneySum("cost"),
        total_savings=MoneySum("savings"),
        tokens_in=Sum("tokens_in", default=0),
        tokens_out=Sum("tokens_out", default=0),
        avg_latency_ms=Avg("latency_ms", filter=_ANSWERED),
    )
    if compared is not None and compared.baseline is not None:
        figures = compared.figures(requests, F("strategy")).values()
        overall["total_savings"] = sum((saved(one) or Decimal(0) for one in figures), Decimal(0))
    count = overall["total_requests"]
    overall["avg_cost"] = average(overall["total_cost"], count - overall["unpriced_requests"])
    overall["avg_latency_ms"] = round(overall["avg_latency_ms"] or 0.0, 2)

    def grouped(field: str) -> list[dict[str, Any]]:
        rows = (
            requests.filter(_ANSWERED)
            .values(field)
            .annotate(
                count=Count("pk"),
                priced=Count("cost"),
                total_cost=MoneySum("cost"),
                tokens_in=Sum("tokens_in", default=0),
                tokens_out=Sum("tokens_out", default=0),
            )
            .order_by("-count", field)
        )
        for row in rows:
            row["avg_cost"] = average(row["total_cost"], row.pop("priced"))
        return list(rows)

    return {
        "overall": overall,
        "by_provider": grouped("provider"),
        "by_complexity": grouped("tier"),
        "recent_requests": [
            {
                "request_id": record.id,
                "created_at": record.created_at,
                "status": record.status,
                "endpoint": record.endpoint,
                "prompt": record.prompt[:200],
                "provider": record.provider,
                "model": record.model,
                "strategy": record.strategy,
                "complexity": record.tier,
                "tokens_in": record.tokens_in,
                "tokens_out": record.tokens_out,
                "cost": record.cost,
                "cache_hit": record.cache_hit,
                "latency_ms": round(record.latency_ms, 2),
            }
            for record in requests.order_by("-created_at")[:recent]
        ],
    }


def most_expensive_requests(
    since: datetime, until: datetime | None = None, *, most: int = 8, among: int = 2_000
) -> list[RequestRecord]:
    """Return the most expensive requests with a decision ``among`` the latest of a period.

    The bound keeps the query's cost the same for any size of the ledger.
    """
    latest = requests_in(since, until).order_by("-created_at").values("pk")[:among]
    rows = RequestRecord.objects.filter(pk__in=latest, cost__gt=0, decision__isnull=False)
    rows = rows.order_by("-cost", "pk")
    return list(rows.only("created_at", "prompt", "provider", "model", "cost")[:most])
