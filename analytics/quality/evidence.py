"""Verdicts added up for learning: one row per kind of prompt and model, kept as they arrive."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime

from django.db import connection, transaction
from django.utils import timezone

from analytics.database.batcher import batched
from analytics.database.locking import locked_row
from analytics.models import Feedback, LearnedEvidence
from routing.learning.posterior import faded, learn, tier_prior
from routing.models import Evidence, EvidenceKey

HALF_LIFE_DAYS = 90.0
"""Without news, what is known weighs half after this time: providers change their models."""

_REBUILT_TOGETHER = 2_000
_SECONDS_A_DAY = 86_400.0
Outcomes = Sequence[tuple[float, float | None]]
"""(score, expected score or ``None``) in the order in which they happened."""


def evidence_add(outcomes: Mapping[EvidenceKey, Outcomes], now: datetime | None = None) -> None:
    """Add outcomes in the current transaction. Concurrent additions wait for each other."""
    now = now or timezone.now()
    # In one order everywhere, so that two writers never wait for each other in a circle.
    for (pattern, tier, provider, model), scores in sorted(outcomes.items()):
        row = locked_row(
            LearnedEvidence, pattern=pattern, tier=tier, provider=provider, model=model
        )
        known = _as_known(row, now)
        for score, expected in scores:
            likely = tier_prior("moderate", tier) if expected is None else expected
            known = learn(known, score, likely)
        row.count, row.weight = known.count, known.weight
        row.quality_sum, row.expected_sum = known.quality_sum, known.expected_sum
        row.updated_at = now
        row.save()


def evidence_load(now: datetime | None = None) -> dict[EvidenceKey, Evidence]:
    """Everything learned, as it weighs at ``now``."""
    now = now or timezone.now()
    return {
        (row.pattern, row.tier, row.provider, row.model): _as_known(row, now)  # type: ignore[misc]
        for row in LearnedEvidence.objects.all()
    }


def evidence_rebuild() -> int:
    """Make the sums anew from all verdicts, in their order; how many verdicts there were.

    One transaction: readers see the old sums until it ends.
    """
    with transaction.atomic():
        if connection.vendor == "postgresql":
            # A verdict that arrives meanwhile waits, so that it is counted once.
            with connection.cursor() as cursor:
                cursor.execute("LOCK TABLE learned_evidence IN EXCLUSIVE MODE")
        LearnedEvidence.objects.all().delete()
        verdicts = Feedback.objects.order_by("pk").iterator(_REBUILT_TOGETHER)
        return sum(_add_verdicts(group) for group in batched(verdicts, _REBUILT_TOGETHER))


def _add_verdicts(verdicts: Sequence[Feedback]) -> int:
    by_day: dict[datetime, dict[EvidenceKey, list[tuple[float, float | None]]]]
    by_day = defaultdict(lambda: defaultdict(list))
    for v in verdicts:
        day = v.created_at.replace(hour=0, minute=0, second=0, microsecond=0)
        by_day[day][(v.pattern, v.tier, v.provider, v.model)].append(  # type: ignore[index]
            (v.score, v.expected)
        )
    for day, outcomes in sorted(by_day.items()):
        evidence_add(outcomes, day)
    return len(verdicts)


def _as_known(row: LearnedEvidence, now: datetime) -> Evidence:
    known = Evidence(row.count, row.weight, row.quality_sum, row.expected_sum)
    days = (now - row.updated_at).total_seconds() / _SECONDS_A_DAY
    return faded(known, days, HALF_LIFE_DAYS)
