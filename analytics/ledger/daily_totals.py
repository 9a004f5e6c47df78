"""The daily totals: kept in the transaction that writes, or takes back, what they add up."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date
from decimal import Decimal
from functools import cache

from django.db import connection

from analytics.database.executemany import execute_many
from analytics.database.locking import locked_row
from analytics.models import DailyTotal, RequestRecord, RoutingMetric
from analytics.money import units_to_usd

_ZERO = Decimal(0)
_KEY = ("date", "provider", "model", "strategy")
_COUNTS = ("requests", "errors", "cache_hits", "unpriced", "tokens_in", "tokens_out")
_MONEY = ("cost", "baseline_cost", "routing_saved", "cache_saved")
Decided = tuple[RequestRecord, RoutingMetric | None]


def total_cost_on(day: date) -> Decimal:
    """USD spent on a UTC day, all requests whose price is known."""
    with connection.cursor() as cursor:
        cursor.execute(
            # Whole ten-billionths: SQLite would add decimals as binary floats.
            "SELECT SUM(CAST(ROUND(cost * 10000000000) AS BIGINT)) FROM daily_totals"
            " WHERE date = %s",
            [connection.ops.adapt_datefield_value(day)],
        )
        return units_to_usd(cursor.fetchone()[0] or 0)


def totals_add(requests: Iterable[Decided]) -> None:
    """Add requests to their days' totals. Runs in the caller's transaction."""
    # In one order everywhere, so that two workers never wait for each other in a circle.
    totals = sorted(_sums(requests), key=lambda total: [getattr(total, name) for name in _KEY])
    names = (*_KEY, *_COUNTS, *_MONEY)
    day = connection.ops.adapt_datefield_value
    amounts = str if connection.vendor == "sqlite" else Decimal
    lines = [
        [
            day(total.date),
            *(getattr(total, name) for name in names[1:-4]),
            *(amounts(getattr(total, name)) for name in _MONEY),
        ]
        for total in totals
    ]
    execute_many(_adding(connection.vendor), lines)


@cache
def _adding(vendor: str) -> str:
    names = (*_KEY, *_COUNTS, *_MONEY)
    # SQLite adds binary floats, which are far closer to the sum than half of a last place.
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
    """As if they had never been. Runs in the caller's transaction."""
    gone = sorted(_sums(requests), key=lambda total: [getattr(total, name) for name in _KEY])
    for less in gone:
        total = locked_row(DailyTotal, **{name: getattr(less, name) for name in _KEY})
        for name in (*_COUNTS, *_MONEY):
            setattr(total, name, getattr(total, name) - getattr(less, name))
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
