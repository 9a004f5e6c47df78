"""The daily totals: kept in the transaction that writes, or takes back, what they add up."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, date
from decimal import Decimal

from analytics.locking import locked_row
from analytics.models import DailyTotal, RequestRecord, RoutingMetric
from analytics.money import MoneySum

_ZERO = Decimal(0)
Decided = tuple[RequestRecord, RoutingMetric | None]


def total_cost_on(day: date) -> Decimal:
    """USD spent on a UTC day, all requests whose price is known."""
    return DailyTotal.objects.filter(date=day).aggregate(total=MoneySum("cost"))["total"]


def totals_add(requests: Iterable[Decided], sign: int = 1) -> None:
    """Add requests to their days' totals or, with ``sign`` -1, take them back.

    Runs in the caller's transaction.
    """
    groups: dict[tuple[date, str, str, str], list[Decided]] = defaultdict(list)
    for request, decision in requests:
        day = request.created_at.astimezone(UTC).date()
        key = (day, request.provider, request.model, request.strategy)
        groups[key].append((request, decision))
    # In one order everywhere, so that two workers never wait for each other in a circle.
    for (day, provider, model, strategy), members in sorted(groups.items(), key=lambda g: g[0]):
        total = locked_row(DailyTotal, date=day, provider=provider, model=model, strategy=strategy)
        for request, decision in members:
            _add(total, request, decision, sign)
        if total.requests:
            total.save()
        else:
            total.delete()


def _add(
    total: DailyTotal, request: RequestRecord, decision: RoutingMetric | None, sign: int
) -> None:
    total.requests += sign
    total.errors += sign * (request.status == RequestRecord.Status.ERROR)
    total.cache_hits += sign * request.cache_hit
    total.unpriced += sign * (request.cost is None)
    total.tokens_in += sign * request.tokens_in
    total.tokens_out += sign * request.tokens_out
    total.cost += sign * (request.cost or _ZERO)
    if decision is not None:
        total.routing_saved += sign * (decision.routing_saved or _ZERO)
        total.cache_saved += sign * (decision.cache_saved or _ZERO)
        if decision.routing_saved is not None:
            total.baseline_cost += sign * (decision.baseline_cost or _ZERO)
