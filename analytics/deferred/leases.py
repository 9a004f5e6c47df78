"""One worker at a time works on a lane: it holds a lease, and renews it while it works."""

from __future__ import annotations

from datetime import timedelta

from django.db.models import Q
from django.utils import timezone

from analytics.models import LaneLease

LASTS = timedelta(seconds=60)
"""A worker that has not renewed its lease for this long has lost it."""


def lease_take(name: str, holder: str) -> bool:
    """Take the lease, or renew it; return whether ``holder`` has it now."""
    now = timezone.now()
    free = Q(holder=holder) | Q(until__lt=now) | Q(holder="")
    until = now + LASTS
    if LaneLease.objects.filter(free, name=name).update(holder=holder, until=until):
        return True
    new = LaneLease(name=name, holder=holder, until=until)
    LaneLease.objects.bulk_create([new], ignore_conflicts=True)
    return LaneLease.objects.filter(name=name, holder=holder).exists()


def lease_leave(name: str, holder: str) -> None:
    """Give the lease back, so that another worker need not wait for its end."""
    LaneLease.objects.filter(name=name, holder=holder).update(holder="")
