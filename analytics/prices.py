"""Prices: operators' overrides, the history of prices seen, and the usage charged at them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.db.models import Count, Sum

from analytics.access.versioned_rows import save_versioned, version_of
from analytics.database.locking import one_at_a_time
from analytics.models import PriceOverride, PriceSeen, RequestRecord
from analytics.models.prices import PRICE_UNITS
from analytics.money import MoneySum
from analytics.reports.repricing import input_size
from routing.models import ModelRef

"""(provider, model)"""


@dataclass(frozen=True, slots=True)
class CurrentPrice:
    """A model's price now.

    ``price`` is USD per million tokens by unit, empty if unknown. ``steps`` are the prices of
    long requests: (input tokens above which the step applies, input, output).
    """

    provider: str
    model: str
    source: str
    price: dict[str, Decimal]
    steps: Sequence[tuple[int, Decimal, Decimal]] = ()


@dataclass(frozen=True, slots=True)
class PriceChange:
    """A price change: the price ``before``, and the one ``after``, valid since its ``seen_at``."""

    before: PriceSeen
    after: PriceSeen


def overrides_version() -> tuple[datetime | None, int]:
    """Return a version that changes whenever an override changes."""
    return version_of(PriceOverride)


@transaction.atomic
def override_save(row: PriceOverride) -> None:
    """Save a price that an operator sets. Raises Django's ``ValidationError``."""
    one_at_a_time("price_overrides")  # it must not overlap with one that comes meanwhile
    save_versioned(row)


def overrides_load() -> list[PriceOverride]:
    """Return all price overrides that operators set."""
    return list(PriceOverride.objects.all())


def prices_record(prices: Iterable[CurrentPrice], now: datetime | None = None) -> list[PriceSeen]:
    """Store the prices that differ from the last ones seen; return the new rows.

    Several workers may call this at the same time: only one of them writes.
    """
    hour = (now or datetime.now(UTC)).replace(minute=0, second=0, microsecond=0)
    last = latest_prices()
    rows = []
    for price in prices:
        before = last.get(ModelRef(price.provider, price.model))
        row = PriceSeen(
            provider=price.provider, model=price.model, seen_at=hour, source=price.source,
            steps=[[above, f"{input_:f}", f"{output:f}"] for above, input_, output in price.steps],
            first=before is None, **{unit: price.price.get(unit) for unit in PRICE_UNITS},
        )  # fmt: skip
        if before is None or _amounts(row) != _amounts(before):
            rows.append(row)
    PriceSeen.objects.bulk_create(rows, ignore_conflicts=True)
    return rows


def latest_prices() -> dict[ModelRef, PriceSeen]:
    """Return the last price seen of each model."""
    rows = PriceSeen.objects.order_by("seen_at")
    return {ModelRef(row.provider, row.model): row for row in rows}


def price_changes(since: datetime) -> list[PriceChange]:
    """Return the price changes since then, latest first."""
    changes = []
    last: dict[ModelRef, PriceSeen] = {}
    for row in PriceSeen.objects.order_by("seen_at"):
        ref = ModelRef(row.provider, row.model)
        before = last.get(ref)
        if before is not None and row.seen_at >= since:
            changes.append(PriceChange(before, row))
        last[ref] = row
    return changes[::-1]


def tokens_used(
    provider: str, model: str, starts: Iterable[int], days: int = 30
) -> list[dict[str, Any]]:
    """Sum a model's requests, cost (USD) and tokens of the last ``days`` days, by input size.

    ``above`` of a row is the greatest of ``starts`` that the input tokens exceed, -1 for none.
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
            # The part of ``charged`` for failed calls before the answer, of any model.
            failed=MoneySum("failed_cost"),
            input_tokens=Sum("tokens_in", default=0),
            output_tokens=Sum("tokens_out", default=0),
            cache_read=Sum("cache_read_tokens", default=0),
            cache_write=Sum("cache_write_tokens", default=0),
            priced=Count("cost"),
        )
    )
    return list(rows)


def _amounts(row: PriceSeen) -> tuple[Any, ...]:
    """Return what makes a price differ from another one; its source does not count."""
    return (*(getattr(row, unit) for unit in PRICE_UNITS), row.steps)
