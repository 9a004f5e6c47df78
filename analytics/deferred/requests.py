"""Deferred requests: accepted with their money held, seen by their tenant, ended and forgotten."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from analytics.budgets.workers import DEFERRED
from analytics.deferred.outcomes import webhook_due
from analytics.models import (
    BudgetHold,
    ClientBatch,
    DeferredRequest,
    ProviderBatch,
    RequestRecord,
    StoredFile,
)

State = DeferredRequest.State
_ENDED_BATCHES = (ProviderBatch.State.SETTLED, ProviderBatch.State.FAILED)
KEPT = timedelta(days=7)
"""How long the answer of a request that has ended is kept for its client."""


@transaction.atomic
def deferred_accept(rows: Sequence[DeferredRequest]) -> None:
    """Write new requests; what is held for them is from now on held for the lane."""
    DeferredRequest.objects.bulk_create(rows)
    held = BudgetHold.objects.filter(request_id__in=[row.pk for row in rows])
    held.update(worker=DEFERRED)


def deferred_find(request_id: UUID, tenant: str | None) -> DeferredRequest | None:
    """Return a request; ``tenant`` may see its own only, ``None`` sees all."""
    rows = DeferredRequest.objects.filter(pk=request_id)
    return (rows if tenant is None else rows.filter(tenant=tenant)).first()


def deferred_state(request_id: UUID) -> str | None:
    """Return how far a request is, ``None`` if it is not known."""
    rows = DeferredRequest.objects.filter(pk=request_id)
    return rows.values_list("state", flat=True).first()


@transaction.atomic
def deferred_end(request_id: UUID, state: str, code: str, detail: str, status: int) -> bool:
    """End an open request whose cost is not known yet; return whether it was open.

    What is held for it stays held until its call or its batch has ended, and is given back at
    once if it is in neither.
    """
    now = timezone.now()
    rows = DeferredRequest.objects.filter(pk=request_id)
    ended = rows.filter(state__in=DeferredRequest.OPEN).update(
        state=state, error_code=code[:64], error_detail=detail[:500], status_code=status,
        ended_at=now, webhook_due_at=webhook_due(now),
    )  # fmt: skip
    if ended and not rows.filter(_in_open_batch()).exists():
        # What a call of its own holds is held by its worker.
        BudgetHold.objects.filter(request_id=request_id, worker=DEFERRED).delete()
    return bool(ended)


def deferred_delete(request_id: UUID) -> bool:
    """Delete a request that has ended, with its answer; return whether it had."""
    rows = DeferredRequest.objects.filter(pk=request_id, client_batch=None)
    return bool(rows.exclude(state__in=DeferredRequest.OPEN).exclude(_in_open_batch()).delete()[0])


def work_exists() -> bool:
    """Return whether a lane has anything to do."""
    return (
        DeferredRequest.objects.filter(state__in=DeferredRequest.OPEN).exists()
        or ProviderBatch.objects.exclude(state__in=_ENDED_BATCHES).exists()
        or DeferredRequest.objects.filter(webhook_due_at__isnull=False).exists()
        or ClientBatch.objects.filter(ended_at=None).exists()
    )


def holds_sweep() -> int:
    """Give back what is held for requests that have ended without a cost; return how many.

    A request that is in a batch may still cost something.
    """
    rows = DeferredRequest.objects.filter(pk=OuterRef("request_id"))
    may_cost = rows.filter(Q(state__in=DeferredRequest.OPEN) | _in_open_batch())
    held = BudgetHold.objects.filter(~Exists(may_cost), worker=DEFERRED)
    return int(held.delete()[0])


def deferred_forget(most: int = 500) -> int:
    """Delete what has ended long ago, and files that have expired; return how many rows."""
    now = timezone.now()
    old = DeferredRequest.objects.filter(ended_at__lt=now - KEPT, webhook_due_at=None)
    old = old.exclude(_in_open_batch()).filter(client_batch=None)
    ids = list(old.values_list("pk", flat=True)[:most])
    count = DeferredRequest.objects.filter(pk__in=ids).delete()[0] if ids else 0
    ended = ClientBatch.objects.filter(ended_at__lt=now - timedelta(days=29))
    count += ended.delete()[0]
    return int(count + StoredFile.objects.filter(expires_at__lt=now).delete()[0])


def is_recorded(request_id: UUID) -> bool:
    """Return whether the ledger has a row of this id."""
    return RequestRecord.objects.filter(pk=request_id).exists()


def recorded_cost(request_id: UUID) -> tuple[Decimal | None, Decimal | None]:
    """Return the cost and the savings in USD of the ledger's row of this id."""
    row = RequestRecord.objects.only("cost", "savings").get(pk=request_id)
    return row.cost, row.savings


def webhooks_due(most: int = 20) -> list[DeferredRequest]:
    """Return the requests whose webhook is to be called now, the oldest first."""
    due = DeferredRequest.objects.filter(webhook_due_at__lte=timezone.now())
    return list(due.defer("request", "answer").order_by("webhook_due_at")[:most])


def webhook_note(request_id: UUID, error: str, again: timedelta | None) -> None:
    """Write what came of a call of a webhook; it is called ``again`` after that time."""
    now = timezone.now()
    row = DeferredRequest.objects.only("webhook_attempts").get(pk=request_id)
    DeferredRequest.objects.filter(pk=request_id).update(
        webhook_attempts=row.webhook_attempts + 1,
        webhook_error=error[:200],
        delivered_at=None if error else now,
        webhook_due_at=now + again if error and again is not None else None,
    )


def _in_open_batch() -> Q:
    return Q(batch__isnull=False) & ~Q(batch__state__in=_ENDED_BATCHES)


def open_requests() -> QuerySet[DeferredRequest]:
    """Return the requests that have not ended."""
    return DeferredRequest.objects.filter(state__in=DeferredRequest.OPEN)
