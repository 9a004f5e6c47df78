"""The baseline that a page or an API compares with, and what requests saved against it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import F, Max, Min, QuerySet
from django.db.models.functions import TruncDay

from analytics.models import RequestRecord
from analytics.money import percent
from analytics.reports.figures import Figures
from analytics.reports.repricing import Baseline, RepricedSums
from analytics.reports.rollup_coverage import Span, day_of
from analytics.reports.sum_queries import rows_of
from analytics.reports.sum_sources import RECORDED, ReportSums, TenantSums, total_of

PARAMETER = "baseline"
"""The parameter of an address that names the baseline."""


@dataclass(frozen=True, slots=True)
class ComparedWith:
    """What savings are compared with.

    ``name`` selects it, ``label`` says it in words, and ``offered`` are the baselines to pick
    from as (name, text). ``baseline`` is ``None`` for the one that was recorded with each request.
    """

    name: str
    label: str
    baseline: Baseline | None
    offered: Sequence[tuple[str, str]] = ()

    def sums(self, tenant: str | None = None) -> ReportSums:
        """Return the sums of all requests, or of one tenant's."""
        recorded = RECORDED if tenant is None else TenantSums(tenant)
        if self.baseline is None:
            return recorded
        if tenant is None:
            return RepricedSums(self.baseline, recorded)
        return RepricedSums(self.baseline, recorded, lambda rows: rows.filter(tenant=tenant))

    def figures(
        self, requests: QuerySet[RequestRecord], by: Any = None, at: Any = None
    ) -> dict[tuple[Any, Any], Figures]:
        """Return the figures of the comparison of ``requests`` by two expressions.

        ``by`` is the request's id by default, and the time ``at`` is ``None``. Requests that
        cannot be compared, and failed ones, have none. Needs a ``baseline``.
        """
        if self.baseline is None:
            raise ValueError("the recorded baseline needs no other comparison")
        ids = requests.order_by()
        first, last = ids.aggregate(first=Min("created_at"), last=Max("created_at")).values()
        if first is None:
            return {}
        sums = RepricedSums(self.baseline, within=lambda rows: rows & ids)
        span = (first, last + timedelta(microseconds=1))
        return sums.comparisons(F("pk") if by is None else by, span, at)


def saved(figures: Figures | None) -> Decimal | None:
    """Return the USD that compared requests saved; ``None`` if they cannot be compared."""
    return None if figures is None else figures["routing_saved"] + figures["cache_saved"]


def compare_savings(requests: Sequence[RequestRecord], compared: ComparedWith | None) -> None:
    """Set the ``savings`` of ``requests``, to be shown and not stored, to those compared."""
    if compared is None or compared.baseline is None or not requests:
        return
    rows = RequestRecord.objects.filter(pk__in=[request.pk for request in requests])
    figures = compared.figures(rows)
    for request in requests:
        request.savings = saved(figures.get((None, request.pk)))


def repriced_rows_by(
    recorded: dict[tuple[datetime, str], Figures],
    baseline: Baseline,
    dimension: str,
    value: str,
    span: Span,
) -> dict[tuple[Any, str], Figures]:
    """Return :func:`analytics.reports.sum_queries.rows_by`, compared with ``baseline``."""
    sums = RepricedSums(baseline, within=lambda rows: rows_of(dimension, value, rows))
    return sums.compare(recorded, "model", TruncDay, span)


def compared_summary(sums: ReportSums, now: datetime | None = None) -> list[dict[str, Any]]:
    """Return :func:`analytics.ledger.daily_totals.savings_summary` compared as ``sums`` are.

    It has the last thirty days: older requests may have been pruned.
    """
    today = day_of(now or datetime.now(UTC))
    days = sums.by_day(today - timedelta(days=29))
    rows = []
    for label, length in (("Today", 1), ("Last 7 days", 7), ("Last 30 days", 30)):
        since = today - timedelta(days=length - 1)
        total = total_of({day: figures for day, figures in days.items() if day >= since})
        routing, cache = total["routing_saved"], total["cache_saved"]
        rows.append(
            {
                "label": label,
                "total_requests": total["requests"],
                "total_hits": total["cache_hits"],
                "spent": total["cost"],
                "by_routing": routing,
                "by_cache": cache,
                "saved": routing + cache,
                "percent": percent(routing + cache, total["cost"] + routing + cache, places=1),
            }
        )
    return rows
