"""What a developer, a client or a key spent, as cards, a chart and tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from analytics.database.replicas import reading_elsewhere
from analytics.reports.own_usage import MOST_REQUESTS, Owner, own_days
from analytics.reports.rollup_coverage import start_of_day
from optimizer.presentation.charts import spend_chart

_SUMMED = ("requests", "failed", "tokens_in", "tokens_out", "cost", "savings", "unpriced")


@dataclass(frozen=True, slots=True)
class OwnSpending:
    """Sums (money in USD) of today, this month and the latest days, all by UTC.

    ``by_day`` has the latest day first, ``by_model`` the dearest model; ``chart`` is ready for
    JSON. If ``partly_since`` is set, only the ``most`` latest requests are summed, those after
    it.
    """

    days: int
    today: Decimal
    month: Decimal
    total: Mapping[str, Any]
    by_day: Sequence[Mapping[str, Any]]
    by_model: Sequence[Mapping[str, Any]]
    chart: Mapping[str, Any]
    partly_since: datetime | None = None
    most: int = MOST_REQUESTS

    @classmethod
    def of(cls, owner: Owner, now: datetime, *, days: int) -> OwnSpending:
        """Read what ``owner`` spent: two queries."""
        today = now.astimezone(UTC).date()
        first = today - timedelta(days=days - 1)
        since = min(first, today.replace(day=1))
        with reading_elsewhere():
            used = own_days(owner, start_of_day(since))
        rows = used.sums
        shown = [row for row in rows if row["day"] >= first]
        by_day = _grouped(shown, lambda row: (row["day"],), ("day",))
        by_model = _grouped(
            shown, lambda row: (row["provider"], row["model"]), ("provider", "model")
        )
        return cls(
            days=days,
            today=_cost(row for row in rows if row["day"] == today),
            month=_cost(row for row in rows if row["day"] >= today.replace(day=1)),
            total=_sums(shown),
            by_day=sorted(by_day, key=lambda row: row["day"], reverse=True),
            by_model=sorted(by_model, key=lambda row: (-row["cost"], row["model"])),
            chart=spend_chart(shown, first, today),
            partly_since=used.partly_since,
        )


def _grouped(rows: Any, key_of: Any, names: Sequence[str]) -> list[dict[str, Any]]:
    groups: dict[Any, list[Any]] = {}
    for row in rows:
        groups.setdefault(key_of(row), []).append(row)
    return [{**dict(zip(names, key, strict=True)), **_sums(group)} for key, group in groups.items()]


def _sums(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    zero = {"cost": Decimal(0), "savings": Decimal(0)}
    return {name: sum((row[name] for row in rows), zero.get(name, 0)) for name in _SUMMED}


def _cost(rows: Any) -> Decimal:
    return sum((row["cost"] for row in rows), Decimal(0))
