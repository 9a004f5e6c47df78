"""Batches and files of clients that this service keeps and answers itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Count, Q
from django.utils import timezone

from analytics.budgets.workers import DEFERRED
from analytics.deferred.outcomes import webhook_due
from analytics.models import BudgetHold, ClientBatch, DeferredRequest, StoredFile

State = DeferredRequest.State
FILES_KEPT = timedelta(days=30)
_CHUNK = 500


def file_store(file: StoredFile) -> None:
    """Write a file; it ends after :data:`FILES_KEPT`."""
    file.expires_at = timezone.now() + FILES_KEPT
    file.save(force_insert=True)


def file_find(file_id: str, tenant: str | None) -> StoredFile | None:
    """Return a file; ``tenant`` may see its own only, ``None`` sees all."""
    rows = StoredFile.objects.filter(pk=file_id, expires_at__gt=timezone.now())
    return (rows if tenant is None else rows.filter(tenant=tenant)).first()


def files_list(tenant: str | None, most: int = 100) -> list[StoredFile]:
    """Return the latest files, without their content."""
    rows = StoredFile.objects.filter(expires_at__gt=timezone.now()).defer("content")
    rows = rows if tenant is None else rows.filter(tenant=tenant)
    return list(rows.order_by("-created_at")[:most])


def file_delete(file_id: str, tenant: str | None) -> bool:
    """Delete a file; return whether there was one."""
    rows = StoredFile.objects.filter(pk=file_id)
    return bool((rows if tenant is None else rows.filter(tenant=tenant)).delete()[0])


@transaction.atomic
def client_batch_create(batch: ClientBatch, rows: Sequence[DeferredRequest]) -> None:
    """Write a batch with its requests, which are admitted one after the other later."""
    batch.save(force_insert=True)
    for start in range(0, len(rows), _CHUNK):
        DeferredRequest.objects.bulk_create(rows[start : start + _CHUNK])


def client_batch_find(batch_id: str, tenant: str | None) -> ClientBatch | None:
    """Return a batch; ``tenant`` may see its own only, ``None`` sees all."""
    rows = ClientBatch.objects.filter(pk=batch_id)
    return (rows if tenant is None else rows.filter(tenant=tenant)).first()


def client_batches_list(form: str, tenant: str | None, most: int = 100) -> list[ClientBatch]:
    """Return the latest batches of one API."""
    rows = ClientBatch.objects.filter(format=form)
    rows = rows if tenant is None else rows.filter(tenant=tenant)
    return list(rows.order_by("-created_at")[:most])


def client_batch_counts(batches: Sequence[str]) -> dict[str, dict[str, int]]:
    """Return how many requests of each batch are in which state."""
    counts: dict[str, dict[str, int]] = {batch: {} for batch in batches}
    rows = DeferredRequest.objects.filter(client_batch__in=batches)
    for row in rows.values("client_batch", "state").annotate(n=Count("id")).order_by():
        counts[row["client_batch"]][row["state"]] = row["n"]
    return counts


def client_batch_rows(batch: str, after: int, most: int = 100) -> list[DeferredRequest]:
    """Return requests of a batch by their lines, from the line behind ``after`` on."""
    rows = DeferredRequest.objects.filter(client_batch=batch, line__gt=after)
    return list(rows.order_by("line")[:most])


def client_batch_cancel(batch: str) -> None:
    """Cancel a batch, and all of its requests that have not ended."""
    now = timezone.now()
    ClientBatch.objects.filter(pk=batch, cancelled_at=None, ended_at=None).update(cancelled_at=now)
    DeferredRequest.objects.filter(client_batch=batch, state__in=DeferredRequest.OPEN).update(
        state=State.CANCELLED, status_code=409, error_code="cancelled", ended_at=now,
        error_detail="The batch was cancelled.", webhook_due_at=webhook_due(now),
    )  # fmt: skip


@transaction.atomic
def client_batch_delete(batch: str, tenant: str | None) -> bool:
    """Delete a batch that has ended, with its requests; return whether it had."""
    rows = ClientBatch.objects.filter(pk=batch, ended_at__isnull=False)
    return bool((rows if tenant is None else rows.filter(tenant=tenant)).delete()[0])


def requests_to_admit(most: int) -> list[DeferredRequest]:
    """Return requests of clients' batches whose model is not chosen yet."""
    rows = DeferredRequest.objects.filter(state=State.ADMITTING)
    return list(rows.order_by("created_at", "line")[:most])


@transaction.atomic
def request_admit(request: UUID, values: Mapping[str, Any]) -> bool:
    """Let a request wait for its answer, with what is held for it; return whether it does."""
    rows = DeferredRequest.objects.filter(pk=request, state=State.ADMITTING)
    if not rows.update(state=State.WAITING, **values):
        return False
    BudgetHold.objects.filter(request_id=request).update(worker=DEFERRED)
    return True


def client_batches_finish() -> int:
    """End the batches all of whose requests have ended; return how many."""
    opened = ClientBatch.objects.filter(ended_at=None)
    going = Count("requests", filter=Q(requests__state__in=DeferredRequest.OPEN))
    ids = [row.pk for row in opened.annotate(going=going).order_by() if not row.going]
    return ClientBatch.objects.filter(pk__in=ids).update(ended_at=timezone.now())
