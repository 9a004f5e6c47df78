"""Sums that must be up to date at once: of days, kept as totals, and of minutes, from requests."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cache
from operator import attrgetter
from time import monotonic
from typing import Any

from django.db import connection
from django.db.models import Count, Q, Sum
from django.db.models.functions import TruncMinute

from analytics.database.bulk_write import execute_many, first_row
from analytics.database.locking import locked_row
from analytics.models import DailyTotal, RequestRecord, RoutingMetric
from analytics.money import SMALLEST_USD, MoneySum, percent
from routing.models import ModelRef

_ZERO = Decimal(0)
_READ_AGAIN_SECONDS = 2.0
_MOST_TENANTS = 10_000
_KEY = ("date", "provider", "model", "strategy")
_COUNTS = ("requests", "errors", "cache_hits", "unpriced", "tokens_in", "tokens_out")
_MONEY = ("cost", "baseline_cost", "routing_saved", "cache_saved")
_BY_KEY = attrgetter(*_KEY)
_VALUES = attrgetter(*_KEY, *_COUNTS, *_MONEY)
Decided = tuple[RequestRecord, RoutingMetric | None]


def total_cost_on(day: date) -> Decimal:
    """Return the USD spent on a UTC day by all requests whose price is known."""
    row = first_row(
        # Summed as integers of 1e-10 USD: SQLite would add decimals as binary floats.
        "SELECT SUM(CAST(ROUND(cost * 10000000000) AS BIGINT)) FROM daily_totals WHERE date = %s",
        [connection.ops.adapt_datefield_value(day)],
    )
    assert row is not None  # it is a sum
    return (row[0] or 0) * SMALLEST_USD


class TenantTotals:
    """What tenants have spent today (UTC), for one process.

    The daily totals are not kept by tenant. A sum is read from the requests, and what this
    process records is added to it; it is read again now and then for what others record.
    """

    def __init__(self) -> None:
        self._sums: dict[str, tuple[date, Decimal, float]] = {}

    def add(self, requests: Iterable[RequestRecord]) -> dict[str, Decimal]:
        """Return the sums, in USD, of the tenants of ``requests``, which are recorded already."""
        today, now = datetime.now(UTC).date(), monotonic()
        costs: dict[str, Decimal] = defaultdict(Decimal)
        for request in requests:
            if request.tenant:
                recorded_today = request.created_at.astimezone(UTC).date() == today
                costs[request.tenant] += (request.cost or _ZERO) if recorded_today else _ZERO
        if len(self._sums) > _MOST_TENANTS:
            self._sums.clear()
        for tenant, cost in costs.items():
            known = self._sums.get(tenant)
            if known is None or known[0] != today or now >= known[2]:
                self._sums[tenant] = (today, *_tenant_cost(tenant, today))
            else:
                self._sums[tenant] = (today, known[1] + cost, known[2])
        return {tenant: self._sums[tenant][1] for tenant in costs}


def _tenant_cost(tenant: str, day: date) -> tuple[Decimal, float]:
    """Return what a tenant spent on a UTC day, and when to read it again (monotonic)."""
    began = monotonic()
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    requests = RequestRecord.objects.filter(tenant=tenant, created_at__gte=midnight)
    spent = requests.aggregate(all=MoneySum("cost"))["all"]
    ended = monotonic()
    # Reading takes at most a hundredth of the time, however many requests there are.
    return spent, ended + max(_READ_AGAIN_SECONDS, 100 * (ended - began))


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


class _Total:
    """What some requests add to one row of the totals; a model instance takes far longer."""

    __slots__ = (*_KEY, *_COUNTS, *_MONEY)

    def __init__(self, day: date, provider: str, model: str, strategy: str) -> None:
        self.date, self.provider, self.model, self.strategy = day, provider, model, strategy
        self.requests = self.errors = self.cache_hits = self.unpriced = 0
        self.tokens_in = self.tokens_out = 0
        self.cost = self.baseline_cost = self.routing_saved = self.cache_saved = _ZERO

    def add(self, request: RequestRecord, decision: RoutingMetric | None) -> None:
        self.requests += 1
        self.errors += request.status == RequestRecord.Status.ERROR
        self.cache_hits += request.cache_hit
        if request.cost is None:
            self.unpriced += 1
        elif request.cost:
            self.cost += request.cost
        self.tokens_in += request.tokens_in
        self.tokens_out += request.tokens_out
        if decision is None:
            return
        if decision.cache_saved:
            self.cache_saved += decision.cache_saved
        if decision.routing_saved is not None:
            self.routing_saved += decision.routing_saved
            self.baseline_cost += decision.baseline_cost or _ZERO


def _sums(requests: Iterable[Decided]) -> list[_Total]:
    totals: dict[tuple[date, str, str, str], _Total] = {}
    for request, decision in requests:
        day = request.created_at.astimezone(UTC).date()
        key = (day, request.provider, request.model, request.strategy)
        total = totals.get(key)
        if total is None:
            total = totals[key] = _Total(*key)
        total.add(request, decision)
    return list(totals.values())


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
