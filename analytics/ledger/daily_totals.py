"""Sums that must be up to date at once: of days, kept as totals, and of minutes, from requests."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cache
from operator import attrgetter
from typing import Any

from django.db import connection
from django.db.models import Count, Q, Sum
from django.db.models.functions import TruncMinute

from analytics.database.bulk_write import execute_many
from analytics.database.locking import locked_row
from analytics.models import DailyTotal, RequestRecord, RoutingMetric
from analytics.money import SMALLEST_USD, MoneySum, percent
from routing.models import ModelRef

_ZERO = Decimal(0)
_KEY = ("date", "provider", "model", "strategy")
_COUNTS = ("requests", "errors", "cache_hits", "unpriced", "tokens_in", "tokens_out")
_MONEY = ("cost", "baseline_cost", "routing_saved", "cache_saved")
_BY_KEY = attrgetter(*_KEY)
_VALUES = attrgetter(*_KEY, *_COUNTS, *_MONEY)
Decided = tuple[RequestRecord, RoutingMetric | None]


def total_cost_on(day: date) -> Decimal:
    """Return the USD spent on a UTC day by all requests whose price is known."""
    with connection.cursor() as cursor:
        cursor.execute(
            # Summed as integers of 1e-10 USD: SQLite would add decimals as binary floats.
            "SELECT SUM(CAST(ROUND(cost * 10000000000) AS BIGINT)) FROM daily_totals"
            " WHERE date = %s",
            [connection.ops.adapt_datefield_value(day)],
        )
        return (cursor.fetchone()[0] or 0) * SMALLEST_USD


def totals_add(requests: Iterable[Decided]) -> None:
    """Add requests to their days' totals, in the caller's transaction."""
    # All workers lock rows in the same order, so that they cannot deadlock.
    totals = sorted(_sums(requests), key=_BY_KEY)
    day = connection.ops.adapt_datefield_value
    amounts = str if connection.vendor == "sqlite" else Decimal
    lines = []
    for total in totals:
        date, *values = _VALUES(total)
        places = len(values) - len(_MONEY)
        lines.append([day(date), *values[:places], *map(amounts, values[places:])])
    execute_many(_adding(connection.vendor), lines)


@cache
def _adding(vendor: str) -> str:
    names = (*_KEY, *_COUNTS, *_MONEY)
    # SQLite adds binary floats, whose error is far less than half of the last decimal place.
    added = "ROUND({0}, 10)" if vendor == "sqlite" else "{0}"
    changes = [f"{name} = daily_totals.{name} + EXCLUDED.{name}" for name in _COUNTS]
    changes += [f"{name} = {added.format(f'daily_totals.{name} + EXCLUDED.{name}')}"
                for name in _MONEY]  # fmt: skip
    return (
        f"INSERT INTO daily_totals ({', '.join(names)})"  # noqa: S608 - names are ours
        f" VALUES ({', '.join(['%s'] * len(names))})"
        f" ON CONFLICT ({', '.join(_KEY)}) DO UPDATE SET {', '.join(changes)}"
    )


def totals_take_back(requests: Iterable[Decided]) -> None:
    """Subtract requests from their days' totals, in the caller's transaction."""
    for removed in sorted(_sums(requests), key=_BY_KEY):
        total = locked_row(DailyTotal, **{name: getattr(removed, name) for name in _KEY})
        for name in (*_COUNTS, *_MONEY):
            setattr(total, name, getattr(total, name) - getattr(removed, name))
        if total.requests:
            total.save()
        else:
            total.delete()


def _sums(requests: Iterable[Decided]) -> list[DailyTotal]:
    totals: dict[tuple[date, str, str, str], DailyTotal] = {}
    for request, decision in requests:
        day = request.created_at.astimezone(UTC).date()
        key = (day, request.provider, request.model, request.strategy)
        total = totals.get(key)
        if total is None:
            total = totals[key] = DailyTotal(**dict(zip(_KEY, key, strict=True)))
        _add(total, request, decision)
    return list(totals.values())


def _add(total: DailyTotal, request: RequestRecord, decision: RoutingMetric | None) -> None:
    total.requests += 1
    total.errors += request.status == RequestRecord.Status.ERROR
    total.cache_hits += request.cache_hit
    total.unpriced += request.cost is None
    total.tokens_in += request.tokens_in
    total.tokens_out += request.tokens_out
    total.cost += request.cost or _ZERO
    if decision is not None:
        total.routing_saved += decision.routing_saved or _ZERO
        total.cache_saved += decision.cache_saved or _ZERO
        if decision.routing_saved is not None:
            total.baseline_cost += decision.baseline_cost or _ZERO


def savings_summary(today: date | None = None) -> list[dict[str, Any]]:
    """Return what was spent and saved (USD) today, in the last 7 and 30 days, and in all."""
    today = today or datetime.now(UTC).date()
    periods = [
        ("Today", today),
        ("Last 7 days", today - timedelta(days=6)),
        ("Last 30 days", today - timedelta(days=29)),
        ("All time", date.min),
    ]
    return [{"label": label, **sums_since(start)} for label, start in periods]


def sums_since(start: date) -> dict[str, Any]:
    """Return the requests, hits, spent and saved (USD) from the UTC day ``start`` on."""
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
    """Return ``requests``, ``failed``, ``spent`` and ``saved`` (USD) of each UTC minute.

    It has the minutes from ``since`` on with at least one request; ``failed`` is the number of
    failed requests. The sums are read from the requests themselves.
    """
    rows: Any = RequestRecord.objects.admitted().filter(created_at__gte=since)
    rows = rows.annotate(at=TruncMinute("created_at", tzinfo=UTC)).values("at")
    rows = rows.annotate(
        requests=Count("pk"),
        failed=Count("pk", filter=Q(status=RequestRecord.Status.ERROR)),
        spent=MoneySum("cost"),
        saved=MoneySum("savings"),
    ).order_by()
    return {row.pop("at"): row for row in rows}


def model_sums(start: date) -> dict[ModelRef, tuple[int, Decimal]]:
    """Return requests and USD spent from the UTC day ``start`` on, by (provider, model)."""
    rows = (
        DailyTotal.objects.filter(date__gte=start)
        .values("provider", "model")
        .annotate(count=Sum("requests"), spent=MoneySum("cost"))
        .values_list("provider", "model", "count", "spent")
    )
    return {ModelRef(provider, model): (count, spent) for provider, model, count, spent in rows}


def known_values(field: str) -> list[str]:
    """Return all values of ``field`` (such as ``provider``) so far, without reading the ledger."""
    return list(
        DailyTotal.objects.exclude(**{field: ""})
        .order_by(field)
        .values_list(field, flat=True)
        .distinct()
    )
