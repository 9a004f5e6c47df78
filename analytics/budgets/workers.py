"""Which workers are alive, so that what a dead one held is known to be lost."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from analytics.models import BudgetHold, Worker

SILENT = timedelta(seconds=30)
_LONGEST_REQUEST = timedelta(hours=6)


def worker_alive(worker: str) -> None:
    """To be said every few seconds."""
    Worker.objects.update_or_create(pk=worker, defaults={"seen_at": timezone.now()})


def holds_lost() -> int:
    """Mark what is held for requests that nobody will finish; how many are new.

    It stays counted: the provider may have charged for them. A worker that was
    only slow books and gives back what it held as if nothing had been.
    """
    now = timezone.now()
    alive = Worker.objects.filter(pk=OuterRef("worker"), seen_at__gte=now - SILENT)
    gone = Q(made_at__lt=now - SILENT) & ~Exists(alive)
    lost = BudgetHold.objects.filter(gone | Q(made_at__lt=now - _LONGEST_REQUEST), lost_at=None)
    count = lost.update(lost_at=now)
    Worker.objects.filter(seen_at__lt=now - _LONGEST_REQUEST).delete()
    return count


def holds_release(holds: Iterable[BudgetHold]) -> int:
    """Give back what was lost with a worker, where its provider charged nothing after all; how
    many there were.
    """
    wanted = [held.pk for held in holds]
    count, _ = BudgetHold.objects.filter(pk__in=wanted, lost_at__isnull=False).delete()
    return count
