"""Marks estimated requests as charged or not charged, where the invoice of their day shows it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db import transaction

from analytics.models import ReconciledEstimate, RequestRecord
from analytics.reconciliation.causes import HARMLESS, NOT_CHARGED, ReconciledCell
from analytics.reconciliation.matching import Reconciliation

_OUTCOME = ReconciledEstimate.Outcome


def estimates_mark(reconciliation: Reconciliation) -> int:
    """Mark the estimates of days that agree but for them; return how many are marked.

    If the whole day agrees, its estimates were charged. If the remainder is exactly the sum of
    the estimates, none of them was. Anything else shows nothing of a single request.
    """
    marked = 0
    for cell in reconciliation.cells:
        outcome = _outcome(cell)
        if outcome is not None:
            marked += _mark(reconciliation, cell, outcome)
    return marked


def _outcome(cell: ReconciledCell) -> str | None:
    others = cell.causes.keys() - HARMLESS - {NOT_CHARGED}
    if not cell.ledger.estimates or others or cell.unexplained:
        return None
    free = -cell.causes.get(NOT_CHARGED, Decimal(0))
    if not free:
        return _OUTCOME.CHARGED
    return _OUTCOME.NOT_CHARGED if abs(free - cell.ledger.estimated) <= cell.rounding else None


@transaction.atomic
def _mark(reconciliation: Reconciliation, cell: ReconciledCell, outcome: str) -> int:
    rows = [
        ReconciledEstimate(
            request_id=request, provider=reconciliation.provider, day=cell.day,
            estimate=estimate, outcome=outcome,
        )
        for request, estimate in _estimated(reconciliation, cell)
    ]  # fmt: skip
    ReconciledEstimate.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["request_id"],
        update_fields=["provider", "day", "estimate", "outcome", "reconciled_at"],
    )
    return len(rows)


def _estimated(
    reconciliation: Reconciliation, cell: ReconciledCell
) -> Iterator[tuple[UUID, Decimal]]:
    start = datetime.combine(cell.day, time(), ZoneInfo(reconciliation.time_zone)).astimezone(UTC)
    rows = RequestRecord.objects.admitted().filter(
        created_at__gte=start, created_at__lt=start + timedelta(days=1), replayed=False,
        usage_estimated=True, cost__isnull=False, provider=reconciliation.provider,
        model=cell.model,
    )  # fmt: skip
    for row in rows.only("pk", "cost", "failed_cost", "status"):
        assert row.cost is not None
        failed = row.status == RequestRecord.Status.ERROR
        yield row.pk, row.failed_cost if failed else row.cost - row.failed_cost
