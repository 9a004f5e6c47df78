"""Removes replayed requests completely: their rows, their totals and what was learned from them."""

from __future__ import annotations

from collections.abc import Iterator

from django.db import transaction

from analytics.ledger.daily_totals import totals_take_back
from analytics.ledger.rollups import mark_stale
from analytics.ledger.seals import removals_seal
from analytics.ledger.sessions import sessions_drop_empty, sessions_take_back
from analytics.models import Comparison, Feedback, RequestRecord
from analytics.quality.evidence import evidence_rebuild


def replayed_count() -> int:
    """Return the number of replayed requests."""
    return RequestRecord.objects.filter(replayed=True).count()


def replayed_remove(batch_size: int = 2000) -> Iterator[int]:
    """Remove replayed requests in batches, each in its own transaction; yield the rows removed."""
    while removed := _remove_batch(batch_size):
        yield removed
    # The verdicts on requests that were pruned before.
    Feedback.objects.filter(source=Feedback.Source.REPLAY).delete()
    Comparison.objects.filter(source=Comparison.Source.REPLAY).delete()
    evidence_rebuild()


@transaction.atomic
def _remove_batch(size: int) -> int:
    replayed = RequestRecord.objects.filter(replayed=True).order_by("-created_at")
    requests = list(replayed.select_related("decision")[:size])
    sessions_take_back((r, getattr(r, "decision", None)) for r in requests)
    sessions_drop_empty(requests)
    totals_take_back((r, getattr(r, "decision", None)) for r in requests)
    mark_stale(request.created_at for request in requests)
    ids = [request.pk for request in requests]
    Feedback.objects.filter(request__in=ids).delete()
    Comparison.objects.filter(request__in=ids).delete()
    RequestRecord.objects.filter(pk__in=ids).delete()
    removals_seal(requests)
    return len(requests)
