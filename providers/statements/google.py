"""Google Cloud's billing export, as JSON or CSV of its BigQuery table.

https://cloud.google.com/billing/docs/how-to/export-data-bigquery-tables/standard-usage: a row's
``cost`` is before its ``credits``, whose amounts are negative. Usage times are in UTC; the
invoice's days are those of Los Angeles (``--time-zone America/Los_Angeles``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from typing import Any

from providers.statements.lines import ZERO, StatedLine, StatementError, amount_of, in_dollars

_SERVICES = ("generative language", "vertex ai", "gemini")


def read_rows(rows: Iterable[Mapping[str, Any]], zone: tzinfo = UTC) -> Iterator[StatedLine]:
    """Yield the lines of a model service, on the days of ``zone``; names are nested or dotted."""
    for row in rows:
        service = str(_field(row, "service.description") or "")
        if service and not any(name in service.lower() for name in _SERVICES):
            continue
        start = str(_field(row, "usage_start_time") or "")
        try:
            at = datetime.fromisoformat(start.replace(" UTC", "+00:00"))
        except ValueError:
            raise StatementError(f"{start[:40]!r} is no usage_start_time.") from None
        in_dollars(str(_field(row, "currency") or ""))
        sku = str(_field(row, "sku.description") or "")
        yield StatedLine(
            day=(at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(zone).date(),
            model=sku,
            item=sku,
            key=str(_field(row, "project.id") or ""),
            amount=amount_of(_field(row, "cost") or 0) + _credits(row),
        )


def _credits(row: Mapping[str, Any]) -> Decimal:
    given = row.get("credits")
    if isinstance(given, list):
        return sum((amount_of(credit["amount"]) for credit in given), ZERO)
    return amount_of(_field(row, "credits.amount") or 0)


def _field(row: Mapping[str, Any], name: str) -> Any:
    if name in row:
        return row[name]
    value: Any = row
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value
