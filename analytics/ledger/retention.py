"""Retention: deletes old requests, responses and budget usage, and dead cache entries."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from analytics.budgets.periods import window_at
from analytics.ledger.rollups import totals_forget_before, totals_update
from analytics.models import (
    AgentSession,
    Budget,
    BudgetMark,
    BudgetUsage,
    CachedResponse,
    LedgerSeal,
    ProviderObject,
    RequestRecord,
    SessionStall,
    StoredResponse,
)
from analytics.proof.day_roots import days_close
from analytics.reports.rollup_coverage import hour_of


@dataclass(frozen=True, slots=True)
class PrunePlan:
    """The number of rows that pruning would delete."""

    requests: int
    cache_entries: int


def _old_requests(before: datetime) -> QuerySet[RequestRecord]:
    return RequestRecord.objects.filter(created_at__lt=before)


def _dead_entries(before: datetime) -> QuerySet[CachedResponse]:
    """Return entries that are expired or invalidated, and those not used since ``before``."""
    gone = Q(invalidated_at__lt=before) | Q(expires_at__lt=timezone.now())
    unused = Q(created_at__lt=before) & (Q(last_hit_at=None) | Q(last_hit_at__lt=before))
    return CachedResponse.objects.filter(gone | unused)


def _old_responses(before: datetime) -> QuerySet[StoredResponse]:
    """Return stored responses that have expired or are older than ``before``."""
    return StoredResponse.objects.filter(
        Q(expires_at__lt=timezone.now()) | Q(created_at__lt=before)
    )


def _old_objects(before: datetime) -> QuerySet[ProviderObject]:
    """Return whose objects providers keep, for those older than ``before`` that are recorded."""
    return ProviderObject.objects.filter(created_at__lt=before, recorded=True)


def _old_usage(before: datetime) -> tuple[QuerySet[Any], ...]:
    """Return the usage of periods that no budget needs any more, and its burn-down marks."""
    expired = Q(pk__in=())
    for budget in Budget.objects.all():
        now = window_at(budget, timezone.now())
        # The period before the current one stays too: a rolling budget's burn-down shows it.
        since = min(before, window_at(budget, now.since).since)
        expired |= Q(account__budget=budget, start__lt=since)
    return BudgetUsage.objects.filter(expired), BudgetMark.objects.filter(expired)


def prune_plan(*, before: datetime) -> PrunePlan:
    """Return how many rows :func:`prune` would delete."""
    before = hour_of(before)
    return PrunePlan(_old_requests(before).count(), _dead_entries(before).count())


def prune(*, before: datetime, batch_size: int = 2000) -> Iterator[int]:
    """Delete in batches, each in its own short transaction; yield the rows deleted per batch.

    Daily and hourly totals and feedback stay: they hold what was spent and learned. Requests
    are deleted by whole hours, so that no hour keeps only a part of its requests. A session is
    deleted once its last request is; until then it keeps the sums of all of them.
    """
    for _ in totals_update():
        pass
    before = hour_of(before)
    days_close()  # the roots of the days stay when their rows are gone
    totals_forget_before(before)
    old: tuple[QuerySet[Any], ...] = (
        _old_requests(before), _dead_entries(before), _old_responses(before), _old_objects(before),
    )  # fmt: skip
    for rows in old:
        yield from _delete_in_batches(rows.order_by("created_at"), batch_size)
    seals = LedgerSeal.objects.filter(day__lt=before.astimezone(UTC).date())
    yield from _delete_in_batches(seals.order_by("id"), batch_size)
    sessions = AgentSession.objects.filter(last_at__lt=before)
    yield from _delete_in_batches(sessions.order_by("last_at"), batch_size)
    stalls = SessionStall.objects.filter(at__lt=before)
    yield from _delete_in_batches(stalls.order_by("at"), batch_size)
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
