"""Prices that operators set, prices as they were seen, and what was used at them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import Count, Sum

from analytics.access.versioned_rows import version_of
from analytics.models import PriceOverride, PriceSeen, RequestRecord
from analytics.models.prices import PRICE_UNITS
from analytics.money import MoneySum
from analytics.reports.repricing import input_size

ModelKey = tuple[str, str]
"""(provider, model)"""


@dataclass(frozen=True, slots=True)
class PriceFound:
    """A price as it is now: USD per million tokens by unit, empty where unknown; ``steps`` are
    (input tokens above which, input, output) of long requests.
    """

    provider: str
    model: str
    source: str
    price: dict[str, Decimal]
    steps: Sequence[tuple[int, Decimal, Decimal]] = ()


@dataclass(frozen=True, slots=True)
class PriceMove:
    """A price that changed: how it was seen ``before`` and how it is since ``after.seen_at``."""

    before: PriceSeen
    after: PriceSeen


def overrides_version() -> tuple[datetime | None, int]:
    """Changes whenever an override does."""
    return version_of(PriceOverride)


def overrides_load() -> list[PriceOverride]:
    return list(PriceOverride.objects.all())


def prices_note(found: Iterable[PriceFound], now: datetime | None = None) -> list[PriceSeen]:
    """Write down those that differ from how they were seen last; which these are.

    Several workers may do so at the same time: one of them writes.
    """
    hour = (now or datetime.now(UTC)).replace(minute=0, second=0, microsecond=0)
    last = latest_prices()
    fresh = []
    for one in found:
        before = last.get((one.provider, one.model))
        row = PriceSeen(
            provider=one.provider, model=one.model, seen_at=hour, source=one.source,
            steps=[[above, f"{fresh_in:f}", f"{out:f}"] for above, fresh_in, out in one.steps],
            first=before is None, **{unit: one.price.get(unit) for unit in PRICE_UNITS},
        )  # fmt: skip
        if before is None or _of(row) != _of(before):
            fresh.append(row)
    PriceSeen.objects.bulk_create(fresh, ignore_conflicts=True)
    return fresh


def latest_prices() -> dict[ModelKey, PriceSeen]:
    """How each model's price was seen last."""
    rows = PriceSeen.objects.order_by("seen_at")
    return {(row.provider, row.model): row for row in rows}


def price_moves(since: datetime) -> list[PriceMove]:
    """The prices that changed since then, latest first."""
    moves = []
    last: dict[ModelKey, PriceSeen] = {}
    for row in PriceSeen.objects.order_by("seen_at"):
        before = last.get((row.provider, row.model))
        if before is not None and row.seen_at >= since:
            moves.append(PriceMove(before, row))
        last[row.provider, row.model] = row
    return moves[::-1]


def tokens_used(
    provider: str, model: str, starts: Iterable[int], days: int = 30
) -> list[dict[str, Any]]:
    """What a model was asked in the last ``days`` days, by the size of the input: ``above`` the
    greatest of ``starts`` that it passes, -1 for none; requests, cost (USD) and tokens.

    Answers from the cache are left out, as they cost nothing at any price.
    """
    since = datetime.now(UTC) - timedelta(days=days)
    rows: Any = (
        RequestRecord.objects.filter(
            provider=provider, model=model, created_at__gte=since, cache_hit=False
        )
        .exclude(status=RequestRecord.Status.ERROR)
        .order_by()
        .annotate(above=input_size(starts))
        .values("above")
        .annotate(
            requests=Count("pk"),
            charged=MoneySum("cost"),
            # Of it, what failed calls before the answer cost, of whichever model.
            failed=MoneySum("failed_cost"),
            asked=Sum("tokens_in", default=0),
            answered=Sum("tokens_out", default=0),
            read=Sum("cache_read_tokens", default=0),
            written=Sum("cache_write_tokens", default=0),
            priced=Count("cost"),
        )
    )
    return list(rows)


def _of(row: PriceSeen) -> tuple[Any, ...]:
    """What makes it another price: where it is from does not."""
    return (*(getattr(row, unit) for unit in PRICE_UNITS), row.steps)
