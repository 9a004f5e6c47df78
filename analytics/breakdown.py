"""A period's requests by day, model, provider, pattern, user, tag or API, summed in SQL."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from django.db.models import Count, F, Q, Sum, Value
from django.db.models.functions import Concat, TruncDay

from analytics.models import RequestRecord
from analytics.money import MoneySum, percent
from analytics.savings import requests_in

_BY: dict[str, Any] = {
    "day": TruncDay("created_at", tzinfo=UTC),
    "model": Concat("provider", Value("/"), "model"),
    "provider": F("provider"),
    "pattern": F("pattern"),
    "user": F("user_id"),
    "tag": F("tags"),
    "endpoint": F("endpoint"),
}
DIMENSIONS = tuple(_BY)
_NONE = "(none)"
_PAIRED = Q(
    decision__actual_cost__isnull=False,
    decision__baseline_cost__isnull=False,
    decision__routing_saved__isnull=False,
)
_SUMMED = (
    "requests", "failed", "cache_hits", "tokens_in", "tokens_out", "cost", "baseline_cost",
    "routing_saved", "cache_saved",
)  # fmt: skip


def breakdown(
    by: str, since: datetime, until: datetime | None = None, *, most: int | None = None
) -> list[dict[str, Any]]:
    """One row a value of ``by`` (one of :data:`DIMENSIONS`), dearest first, days in their order.

    Money is USD. ``saved`` is ``routing_saved + cache_saved``, over the requests whose
    own and baseline price are known, and ``saved_percent`` of their baseline. A
    request with several tags counts under each of them. ``most`` rows at most, the
    rest summed up as "(others)".
    """
    rows: Any = (
        requests_in(since, until)
        .annotate(group=_BY[by])
        .values("group")
        .annotate(
            requests=Count("pk"),
            failed=Count("pk", filter=Q(status=RequestRecord.Status.ERROR)),
            cache_hits=Count("pk", filter=Q(cache_hit=True)),
            tokens_in=Sum("tokens_in", default=0),
            tokens_out=Sum("tokens_out", default=0),
            cost=MoneySum("cost"),
            baseline_cost=MoneySum("decision__baseline_cost", filter=_PAIRED),
            routing_saved=MoneySum("decision__routing_saved", filter=_PAIRED),
            cache_saved=MoneySum("decision__cache_saved", filter=_PAIRED),
        )
        .order_by()
    )
    sums: dict[str, dict[str, Any]] = {}
    for row in rows:
        for name in _names(by, row["group"]):
            _add(sums.setdefault(name, dict.fromkeys(_SUMMED, 0)), row)
    found = [_finished(name, row) for name, row in sums.items()]
    if by == "day":
        return sorted(found, key=lambda row: row["name"])
    found.sort(key=lambda row: (-row["cost"], -row["requests"], row["name"]))
    return found if most is None or len(found) <= most else _shortened(found, most)


def _names(by: str, group: Any) -> list[str]:
    if by == "day":
        return [group.date().isoformat()]
    if by == "tag":
        return list(dict.fromkeys(group)) or [_NONE]
    return [_NONE if group in ("", "/") else group]


def _add(total: dict[str, Any], row: dict[str, Any]) -> None:
    for figure in _SUMMED:
        total[figure] += row[figure]


def _finished(name: str, row: dict[str, Any]) -> dict[str, Any]:
    saved = Decimal(row["routing_saved"]) + Decimal(row["cache_saved"])
    return {
        "name": name,
        **row,
        "saved": saved,
        "saved_percent": percent(saved, row["baseline_cost"]),
    }


def _shortened(rows: list[dict[str, Any]], most: int) -> list[dict[str, Any]]:
    rest = dict.fromkeys(_SUMMED, 0)
    for row in rows[most - 1 :]:
        _add(rest, row)
    return [*rows[: most - 1], _finished("(others)", rest)]
