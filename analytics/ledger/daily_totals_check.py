"""Compares the daily totals with their requests, and computes those again that differ."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from django.db import transaction
from django.db.models import Count, Q, Sum
from django.db.models.functions import TruncDate

from analytics.database.locking import locked_row
from analytics.models import DailyTotal, RequestRecord, TotalsState
from analytics.money import MoneySum

_SAVED = Q(decision__routing_saved__isnull=False)
_SUMS: dict[str, Any] = {
    "requests": Count("pk"),
    "errors": Count("pk", filter=Q(status=RequestRecord.Status.ERROR)),
    "cache_hits": Count("pk", filter=Q(cache_hit=True)),
    "unpriced": Count("pk", filter=Q(cost=None)),
    "tokens_in": Sum("tokens_in", default=0),
    "tokens_out": Sum("tokens_out", default=0),
    "cost": MoneySum("cost"),
    "baseline_cost": MoneySum("decision__baseline_cost", filter=_SAVED),
    "routing_saved": MoneySum("decision__routing_saved"),
    "cache_saved": MoneySum("decision__cache_saved"),
}
_PLACES = Decimal("1e-10")


class DailyKey(NamedTuple):
    """What one daily total is of."""

    date: date
    provider: str
    model: str
    strategy: str


def daily_totals_differ() -> list[DailyKey]:
    """Return the totals that differ from the sums of their requests.

    Days of which requests may be pruned are left out. Requests may be written meanwhile, so that
    only what differs twice counts.
    """
    first = _differing()
    return sorted(first & _differing()) if first else []


def daily_totals_rebuild() -> int:
    """Compute the totals that differ again, and return how many those were."""
    keys = daily_totals_differ()
    for key in keys:
        with transaction.atomic():
            total = locked_row(DailyTotal, **key._asdict())
            sums = dict(_sums(Q(day=key.date), key)).get(key)
            if sums is None:
                total.delete()
                continue
            for name, value in sums.items():
                setattr(total, name, value)
            total.save()
    return len(keys)


def _differing() -> set[DailyKey]:
    since = _first_whole_day()
    days = Q() if since is None else Q(day__gte=since)
    sums = dict(_sums(days))
    totals = DailyTotal.objects.all() if since is None else DailyTotal.objects.filter(
        date__gte=since
    )  # fmt: skip
    stored = {
        DailyKey(total.date, total.provider, total.model, total.strategy): {
            name: getattr(total, name) for name in _SUMS
        }
        for total in totals.iterator()
        if total.requests
    }
    return {
        key for key in sums.keys() | stored.keys() if sums.get(key) != stored.get(key)
    }  # fmt: skip


def _sums(days: Q, key: DailyKey | None = None) -> Iterator[tuple[DailyKey, dict[str, Any]]]:
    rows: Any = RequestRecord.objects.admitted()
    if key is not None:
        rows = rows.filter(provider=key.provider, model=key.model, strategy=key.strategy)
    rows = rows.annotate(day=TruncDate("created_at", tzinfo=UTC)).filter(days)
    rows = rows.values("day", "provider", "model", "strategy").annotate(
        **{f"sum_{name}": expression for name, expression in _SUMS.items()}
    )
    for row in rows.order_by():
        sums = {name: row[f"sum_{name}"] for name in _SUMS}
        for name, value in sums.items():
            if isinstance(value, Decimal):
                sums[name] = value.quantize(_PLACES)
        yield DailyKey(row["day"], row["provider"], row["model"], row["strategy"]), sums


def _first_whole_day() -> date | None:
    state = TotalsState.objects.first()
    if state is None or state.pruned_before is None:
        return None
    pruned = state.pruned_before.astimezone(UTC)
    midnight = pruned.replace(hour=0, minute=0, second=0, microsecond=0)
    return (midnight if midnight == pruned else midnight + timedelta(days=1)).date()
