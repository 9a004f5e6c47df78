"""What routing and the cache saved, request by request.

The baseline of a request is the **same request** priced on the model that
complexity would have chosen: its tokens, that model's price. A cache hit saves
what its answer once cost; had routing chosen a cheaper model for it than
complexity, the rest of the baseline is routing's saving.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db.models import CharField, Count, F, Q, QuerySet
from django.db.models.functions import Cast, Right

from analytics.intervals import total_interval
from analytics.models import RequestRecord, RoutingMetric
from analytics.money import MoneySum, percent

_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Savings:
    """USD saved by routing and by the cache; ``None`` where a price is unknown.

    Negative where we cost more than the baseline. ``baseline = cost + routing + cache``.
    """

    routing: Decimal | None
    cache: Decimal | None

    @property
    def total(self) -> Decimal | None:
        known = [part for part in (self.routing, self.cache) if part is not None]
        return sum(known, _ZERO) if known else None


def savings_of_call(cost: Decimal | None, baseline_cost: Decimal | None) -> Savings:
    """Savings of a request that a provider answered. ``cost`` includes failed attempts."""
    if cost is None or baseline_cost is None:
        return Savings(None, _ZERO)
    return Savings(baseline_cost - cost, _ZERO)


def savings_of_hit(original_cost: Decimal | None, baseline_cost: Decimal | None) -> Savings:
    """Savings of a request answered from the cache."""
    if original_cost is None:
        return Savings(None, None)
    routing = None if baseline_cost is None else baseline_cost - original_cost
    return Savings(routing, original_cost)


def cost_savings(since: datetime, until: datetime | None = None) -> dict[str, Any]:
    """Totals over the requests decided in a period, pair by pair, in USD.

    Only requests whose own and baseline price are both known are compared;
    ``unpriced_requests`` counts the others. ``total_saved`` is exactly
    ``baseline_cost - intelligent_cost`` and ``routing_saved + cache_saved``;
    ``saved_low`` and ``saved_high`` bound it with 95 % confidence
    (:mod:`analytics.intervals`), ``None`` where there are too few requests.
    """
    paired = Q(actual_cost__isnull=False, baseline_cost__isnull=False, routing_saved__isnull=False)
    groups: Any = (
        decisions_in(since, until)
        .values(group=Right(Cast("pk", CharField()), 2))
        .annotate(
            requests=Count("pk"),
            paired=Count("pk", filter=paired),
            cost=MoneySum("actual_cost", filter=paired),
            baseline=MoneySum("baseline_cost", filter=paired),
            routing=MoneySum("routing_saved", filter=paired),
            cache=MoneySum("cache_saved", filter=paired),
        )
        .order_by("group")
    )
    totals: dict[str, Any] = dict.fromkeys(("requests", "paired"), 0)
    totals.update(dict.fromkeys(("cost", "baseline", "routing", "cache"), _ZERO))
    pairs = []
    for group in groups:
        for figure in totals:
            totals[figure] += group[figure]
        pairs.append((group["paired"], group["baseline"] - group["cost"]))
    interval = total_interval(pairs)
    baseline = totals["baseline"]
    saved = baseline - totals["cost"]
    return {
        "total_saved": saved,
        "saved_low": interval.low if interval else None,
        "saved_high": interval.high if interval else None,
        "percent_saved": percent(saved, baseline),
        "intelligent_cost": totals["cost"],
        "baseline_cost": baseline,
        "routing_saved": totals["routing"],
        "cache_saved": totals["cache"],
        "paired_requests": totals["paired"],
        "unpriced_requests": totals["requests"] - totals["paired"],
    }


def decisions_in(since: datetime, until: datetime | None = None) -> QuerySet[RoutingMetric]:
    """Decisions of answered requests in ``[since, until)``."""
    decisions = RoutingMetric.objects.filter(created_at__gte=since)
    return decisions if until is None else decisions.filter(created_at__lt=until)


def requests_in(since: datetime, until: datetime | None = None) -> QuerySet[RequestRecord]:
    """Requests, answered or not, in ``[since, until)``."""
    requests = RequestRecord.objects.filter(created_at__gte=since)
    return requests if until is None else requests.filter(created_at__lt=until)


def failed_cost(since: datetime, until: datetime | None = None) -> Decimal:
    """USD spent on attempts that delivered nothing."""
    return requests_in(since, until).aggregate(total=MoneySum(F("failed_cost")))["total"]
