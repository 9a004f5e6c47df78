"""Heartbeats of workers, so that holds of dead workers are recognised as lost."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from analytics.models import BudgetHold, ProviderObject, Worker

DEAD_AFTER = timedelta(seconds=30)
"""A worker without a heartbeat for this long counts as dead."""
LONGEST_REQUEST = timedelta(hours=6)
"""No request is in progress for longer."""
BATCHES = "batches"
"""The worker of what is held for batches, which the providers work on."""
DEFERRED = "deferred"
"""The worker of what is held for requests that are answered later, whichever worker does it."""


def worker_heartbeat(worker: str) -> None:
    """Record that the worker is alive; call it every few seconds."""
    Worker.objects.update_or_create(pk=worker, defaults={"seen_at": timezone.now()})


def holds_mark_lost() -> int:
    """Mark the holds of requests that will never finish as lost; return how many are new.

    Lost holds still count, as the provider may have charged for their requests, until
    :mod:`analytics.ledger.lost_calls` settles them. If the worker was only slow, it books the
    cost and releases the hold as usual.
    """
    now = timezone.now()
    alive = Worker.objects.filter(pk=OuterRef("worker"), seen_at__gte=now - DEAD_AFTER)
    orphaned = Q(made_at__lt=now - DEAD_AFTER) & ~Exists(alive)
    old = Q(made_at__lt=now - LONGEST_REQUEST)
    # What is held for deferred requests is given back by their lane (analytics.deferred).
    requests = BudgetHold.objects.filter(lost_at=None).exclude(worker__in=(BATCHES, DEFERRED))
    count = requests.filter(orphaned | old).update(lost_at=now)
    # A batch has until its provider ends it, unless nobody knows of it.
    known = ProviderObject.objects.filter(request_id=OuterRef("request_id"), recorded=False)
    batches = BudgetHold.objects.filter(old & ~Exists(known), lost_at=None, worker=BATCHES)
    count += batches.update(lost_at=now)
    Worker.objects.filter(seen_at__lt=now - LONGEST_REQUEST).delete()
    return count


def holds_release(holds: Iterable[BudgetHold]) -> int:
    """Release lost holds whose provider charged nothing after all; return how many there were."""
    ids = [entry.pk for entry in holds]
    count, _ = BudgetHold.objects.filter(pk__in=ids, lost_at__isnull=False).delete()
    return count
