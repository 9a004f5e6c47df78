"""The steps of a batch at a provider, each written before the next one begins.

planned → (file uploaded) → submitting → running → settled. A batch that is ``submitting`` may
have been created, and is looked for before it is created again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from analytics.models import BudgetHold, DeferredRequest, ProviderBatch, ProviderObject

State = DeferredRequest.State
Batch = ProviderBatch.State
_OPEN = (Batch.PLANNED, Batch.SUBMITTING, Batch.RUNNING)


def requests_waiting(most: int) -> list[DeferredRequest]:
    """Return requests that no batch and no call has taken, the most urgent first."""
    rows = DeferredRequest.objects.filter(state=State.WAITING, not_before__lte=timezone.now())
    return list(rows.order_by("deadline_at", "created_at")[:most])


def requests_late(before: datetime) -> list[DeferredRequest]:
    """Return the open requests whose deadline is ``before`` then."""
    rows = DeferredRequest.objects.filter(
        state__in=DeferredRequest.OPEN, deadline_at__lt=before
    ).defer("answer")
    return list(rows.order_by("deadline_at"))


def requests_calling() -> list[DeferredRequest]:
    """Return the requests that a call of their own has taken."""
    return list(DeferredRequest.objects.filter(state=State.CALLING))


def batches_open() -> list[ProviderBatch]:
    """Return the batches that have not ended, the oldest first."""
    return list(ProviderBatch.objects.filter(state__in=_OPEN).order_by("created_at"))


def requests_of_batch(batch: UUID) -> list[DeferredRequest]:
    """Return the requests of a batch, in the order in which they came."""
    return list(DeferredRequest.objects.filter(batch=batch).order_by("created_at", "id"))


def objects_of_provider(provider: str) -> set[str]:
    """Return the ids of the batches at a provider that are known: of this lane and of clients."""
    own = ProviderBatch.objects.filter(provider=provider).exclude(object_id="")
    others = ProviderObject.objects.filter(provider=provider, kind=ProviderObject.Kind.BATCH)
    return {*own.values_list("object_id", flat=True), *others.values_list("object_id", flat=True)}


@transaction.atomic
def batch_plan(
    provider: str, model: str, headers: Mapping[str, str], requests: Collection[UUID]
) -> ProviderBatch:
    """Put waiting requests into a new batch."""
    batch = ProviderBatch.objects.create(provider=provider, model=model, headers=dict(headers))
    waiting = DeferredRequest.objects.filter(pk__in=requests, state=State.WAITING)
    batch.requests_count = waiting.update(state=State.IN_BATCH, batch=batch)
    batch.save(update_fields=["requests_count"])
    return batch


def batch_note_file(batch: UUID, file_id: str) -> None:
    """Write the file that holds the batch's lines."""
    ProviderBatch.objects.filter(pk=batch).update(file_id=file_id)


def batch_note_intent(batch: UUID, count: int) -> bool:
    """Write that the batch of ``count`` lines is about to be created; return whether it may be."""
    planned = ProviderBatch.objects.filter(pk=batch, state=Batch.PLANNED, cancelled_at=None)
    return bool(
        planned.update(state=Batch.SUBMITTING, intent_at=timezone.now(), requests_count=count)
    )


def batch_note_created(batch: UUID, object_id: str) -> None:
    """Write the id that the provider gave the batch."""
    now = timezone.now()
    ProviderBatch.objects.filter(pk=batch, state=Batch.SUBMITTING).update(
        state=Batch.RUNNING, object_id=object_id, submitted_at=now, checked_at=now, error=""
    )


def batch_note_absent(batch: UUID) -> None:
    """Write that the provider does not have the batch, so that it may be created again."""
    rows = ProviderBatch.objects.filter(pk=batch, state=Batch.SUBMITTING)
    rows.update(state=Batch.PLANNED, intent_at=None)


def batch_postpone(batch: UUID, seconds: float, error: str) -> None:
    """Try the batch's next step again later, after an error."""
    ProviderBatch.objects.filter(pk=batch).update(
        not_before=timezone.now() + timedelta(seconds=seconds),
        calls_failed=F("calls_failed") + 1,
        error=error[:300],
    )


def batch_note_checked(batch: UUID) -> None:
    """Write that the provider was asked how far the batch is."""
    ProviderBatch.objects.filter(pk=batch).update(checked_at=timezone.now(), calls_failed=0)


def batch_note_cancelled(batch: UUID) -> None:
    """Write that the batch's end was asked for."""
    ProviderBatch.objects.filter(pk=batch).update(cancelled_at=timezone.now())


@transaction.atomic
def batch_close(batch: UUID, state: str, error: str = "", *, direct: bool) -> int:
    """End a batch; return how many of its requests go on without an answer.

    They wait for another batch, or for calls of their own if ``direct``. What is held for those
    that have ended otherwise is given back.
    """
    now = timezone.now()
    ProviderBatch.objects.filter(pk=batch, state__in=_OPEN).update(
        state=state, ended_at=now, error=error[:300]
    )
    rows = DeferredRequest.objects.filter(batch=batch)
    changes = {"direct": True} if direct else {}
    left = rows.filter(state=State.IN_BATCH).update(state=State.WAITING, batch=None, **changes)
    ended = rows.exclude(state__in=DeferredRequest.OPEN).values_list("pk", flat=True)
    BudgetHold.objects.filter(request_id__in=list(ended)).delete()
    return left


def request_return(
    request: UUID, batch: UUID, *, direct: bool, error_code: str = "", detail: str = ""
) -> None:
    """Take an open request out of a batch that has no answer to it."""
    changes = {"direct": True} if direct else {}
    DeferredRequest.objects.filter(pk=request, batch=batch, state=State.IN_BATCH).update(
        state=State.WAITING, batch=None, error_code=error_code[:64], error_detail=detail[:500],
        **changes,
    )  # fmt: skip


def call_claim(request: UUID, state: str, worker: str, call_id: UUID, until: datetime) -> bool:
    """Take a request for a call of its own; return whether nobody else has."""
    rows = DeferredRequest.objects.filter(pk=request, state=state)
    return bool(
        rows.update(
            state=State.CALLING, claimed_by=worker, call_id=call_id, not_before=until,
            calls=F("calls") + 1,
        )
    )  # fmt: skip


def call_return(request: UUID, seconds: float, error_code: str, detail: str) -> None:
    """Try a call again after so many seconds."""
    DeferredRequest.objects.filter(pk=request, state=State.CALLING).update(
        state=State.WAITING, direct=True, claimed_by="",
        not_before=timezone.now() + timedelta(seconds=seconds),
        error_code=error_code[:64], error_detail=detail[:500],
    )  # fmt: skip


def call_is_settled(call_id: UUID, worker: str) -> bool:
    """Return whether nothing is held any more by ``worker`` for a call that it began."""
    return not BudgetHold.objects.filter(request_id=call_id, worker=worker).exists()


def open_counts(requests: Sequence[DeferredRequest]) -> int:
    """Return how many of ``requests`` are open."""
    return sum(1 for row in requests if row.state in DeferredRequest.OPEN)
