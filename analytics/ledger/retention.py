"""Forgetting: old requests and their decisions, expired and invalidated cache entries, what
budgets counted in periods long over.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from analytics.budgets.periods import window_at
from analytics.ledger.rollups import totals_forget_before, totals_update
from analytics.models import Budget, BudgetMark, BudgetUsage, CachedResponse, RequestRecord
from analytics.reports.rollup_coverage import hour_of


@dataclass(frozen=True, slots=True)
class PrunePlan:
    """How many rows a pruning would delete."""

    requests: int
    cache_entries: int


def _old_requests(before: datetime) -> QuerySet[RequestRecord]:
    return RequestRecord.objects.filter(created_at__lt=before)


def _dead_entries(before: datetime) -> QuerySet[CachedResponse]:
    """Entries that no longer answer, and those nobody asked for since ``before``."""
    gone = Q(invalidated_at__lt=before) | Q(expires_at__lt=timezone.now())
    unused = Q(created_at__lt=before) & (Q(last_hit_at=None) | Q(last_hit_at__lt=before))
    return CachedResponse.objects.filter(gone | unused)


def _old_usage(before: datetime) -> tuple[QuerySet[Any], ...]:
    """What bears on no budget any more, and how it came about."""
    found = Q(pk__in=())
    for budget in Budget.objects.all():
        now = window_at(budget, timezone.now())
        # Of a rolling one also the period before, as a burn-down shows how it came about.
        since = min(before, window_at(budget, now.since).since)
        found |= Q(account__budget=budget, start__lt=since)
    return BudgetUsage.objects.filter(found), BudgetMark.objects.filter(found)


def prune_plan(*, before: datetime) -> PrunePlan:
    """What :func:`prune` would delete."""
    before = hour_of(before)
    return PrunePlan(_old_requests(before).count(), _dead_entries(before).count())


def prune(*, before: datetime, batch_size: int = 2000) -> Iterator[int]:
    """Delete in batches, each its own short transaction; yields rows deleted per batch.

    Daily and hourly totals and feedback stay: they are what was learned and spent. So
    that no hour is kept by half, requests go by whole hours.
    """
    for _ in totals_update():
        pass
    before = hour_of(before)
    totals_forget_before(before)
    for rows in (_old_requests(before), _dead_entries(before)):
        yield from _delete_in_batches(rows.order_by("created_at"), batch_size)
    for usage in _old_usage(before):
        yield from _delete_in_batches(usage.order_by("start"), batch_size)


def _delete_in_batches(rows: QuerySet[Any], batch_size: int) -> Iterator[int]:
    while True:
        with transaction.atomic():
            ids = list(rows.values_list("pk", flat=True)[:batch_size])
            if not ids:
                return
            rows.model._default_manager.filter(pk__in=ids).delete()
        yield len(ids)
