"""Refused requests: which of them are written, and their totals by day and reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from functools import cache
from typing import Any, NamedTuple

from django.db import connection
from django.db.models import Sum

from analytics.database.bulk_write import execute_many
from analytics.models import RefusalTotal, RequestRecord

REFUSED = RequestRecord.Status.REFUSED


class RefusalKind(NamedTuple):
    """What refusals are counted by."""

    date: date
    endpoint: str
    http_status: int
    reason: str


def kind_of(record: RequestRecord) -> RefusalKind:
    """Return what the refused request is counted as."""
    day = record.created_at.astimezone(UTC).date()
    return RefusalKind(day, record.endpoint, record.http_status or 0, record.error_code)


def refusals_to_write(refused: Sequence[RequestRecord]) -> list[RequestRecord]:
    """Return the refused requests that have no row yet.

    A request that failed at a provider has its row, even if the client is told of a refusal.
    """
    ids = [record.pk for record in refused]
    known = set(RequestRecord.objects.filter(pk__in=ids).values_list("pk", flat=True))
    return list({record.pk: record for record in refused if record.pk not in known}.values())


def refusals_add(recorded: Iterable[RequestRecord]) -> None:
    """Add recorded refusals to their totals, in the caller's transaction."""
    _add({kind: (count, 0) for kind, count in Counter(map(kind_of, recorded)).items()})


def refusals_add_unrecorded(counts: Mapping[RefusalKind, int]) -> None:
    """Add refusals without a row of their own to the totals."""
    _add({kind: (count, count) for kind, count in counts.items()})


def _add(counts: Mapping[RefusalKind, tuple[int, int]]) -> None:
    day = connection.ops.adapt_datefield_value
    # All workers lock rows in the same order, so that they cannot deadlock.
    lines = [
        [day(kind.date), *kind[1:], count, unrecorded]
        for kind, (count, unrecorded) in sorted(counts.items())
    ]
    if lines:
        execute_many(_adding(), lines)


@cache
def _adding() -> str:
    names = (*RefusalKind._fields, "count", "unrecorded")
    changes = [f"{name} = refusal_totals.{name} + EXCLUDED.{name}" for name in names[-2:]]
    return (
        f"INSERT INTO refusal_totals ({', '.join(names)})"  # noqa: S608 - names are ours
        f" VALUES ({', '.join(['%s'] * len(names))})"
        f" ON CONFLICT ({', '.join(RefusalKind._fields)}) DO UPDATE SET {', '.join(changes)}"
    )


def refusals_since(since: datetime) -> dict[str, Any]:
    """Return the number of refusals from the UTC day of ``since`` on: in all and by reason."""
    rows: list[Any] = list(
        RefusalTotal.objects.filter(date__gte=since.astimezone(UTC).date())
        .values("reason", "http_status")
        .annotate(requests=Sum("count"), not_recorded=Sum("unrecorded"))
        .order_by("-requests", "reason", "http_status")
    )
    return {
        "requests": sum(row["requests"] for row in rows),
        "unrecorded": sum(row.pop("not_recorded") for row in rows),
        "by_reason": rows,
    }
