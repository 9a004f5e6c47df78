"""Compares what providers reported with the price table, on the rows of the ledger."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import Count, Q

from analytics.models import RequestRecord
from analytics.money import MoneySum, percent

_REPORTED = RequestRecord.PriceBasis.REPORTED


@dataclass(frozen=True, slots=True)
class ModelCheck:
    """One model's requests in a period, in USD.

    ``reported`` is what its provider said it charged for the ``compared`` requests, and
    ``listed`` their price by the table. ``unlisted`` requests have a reported cost and no
    price in the table, ``unknown`` have neither.
    """

    provider: str
    model: str
    compared: int
    reported: Decimal
    listed: Decimal
    unlisted: int
    unknown: int

    @property
    def difference(self) -> Decimal:
        """The USD by which the table is above what was reported."""
        return self.listed - self.reported

    @property
    def percent(self) -> float:
        """The difference as a share of what was reported, in per cent."""
        return percent(self.difference, self.reported)

    def differs(self, tolerance: Decimal) -> bool:
        """Return whether the difference is more than ``tolerance`` per cent."""
        return abs(self.difference) * 100 > tolerance * self.reported


def prices_check(days: int, now: datetime | None = None) -> list[ModelCheck]:
    """Return the models with a reported or an unknown cost, the largest difference first."""
    since = (now or datetime.now(UTC)) - timedelta(days=days)
    reported = Q(price_basis=_REPORTED)
    compared = reported & Q(list_cost__isnull=False)
    rows: Any = (
        RequestRecord.objects.admitted()
        .filter(created_at__gte=since, replayed=False)
        .filter(reported | Q(price_basis=RequestRecord.PriceBasis.UNKNOWN))
        .order_by()
        .values("provider", "model")
        .annotate(
            compared=Count("pk", filter=compared),
            charged=MoneySum("cost", filter=compared),
            # What failed calls before the answer cost was computed here.
            failed=MoneySum("failed_cost", filter=compared),
            listed=MoneySum("list_cost", filter=compared),
            unlisted=Count("pk", filter=reported & Q(list_cost__isnull=True)),
            unknown=Count("pk", filter=~reported),
        )
    )
    checks = [
        ModelCheck(
            row["provider"],
            row["model"],
            row["compared"],
            row["charged"] - row["failed"],
            row["listed"],
            row["unlisted"],
            row["unknown"],
        )
        for row in rows
    ]
    return sorted(checks, key=lambda check: (-abs(check.difference), check.provider, check.model))
