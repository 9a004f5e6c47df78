"""Answers whose cost, or whose baseline's cost, is unknown, so that no saving is counted."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models import QuerySet

from analytics.models import RequestRecord, RoutingMetric


def without_price(decisions: QuerySet[Any]) -> QuerySet[Any]:
    """Return those of ``decisions`` that were answered and are compared with nothing.

    Requests that failed are none of them: they have no baseline, whatever prices are known.
    """
    return decisions.filter(routing_saved__isnull=True).exclude(
        request__status=RequestRecord.Status.ERROR
    )


def unpriced_answers(since: datetime, until: datetime | None = None) -> QuerySet[Any]:
    """Return the decisions of a period whose answers have no price."""
    decisions = RoutingMetric.objects.filter(created_at__gte=since)
    if until is not None:
        decisions = decisions.filter(created_at__lt=until)
    return without_price(decisions)
