"""Evidence for learned routing: running sums of verdicts, by kind of prompt, model and tenant."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime

from django.db import connection, transaction
from django.utils import timezone

from analytics.access.keys import tenants_known
from analytics.database.batcher import batched
from analytics.database.locking import locked_row
from analytics.models import Feedback, LearnedEvidence
from analytics.quality.tenant_shares import combined
from routing.learning.posterior import MEMORY, faded, learn, tier_prior
from routing.models import Evidence, EvidenceKey

HALF_LIFE_DAYS = 90.0
"""Evidence loses half its weight after this time, as providers change their models."""

_BATCH_SIZE = 2_000
_SECONDS_PER_DAY = 86_400.0
Outcomes = Sequence[tuple[float, float | None]]
"""(score, expected score or ``None``), oldest first."""


def evidence_add(
    outcomes: Mapping[EvidenceKey, Outcomes], now: datetime | None = None, *, tenant: str = ""
) -> None:
    """Add a tenant's outcomes within the current transaction; concurrent calls wait."""
    now = now or timezone.now()
    # All writers lock rows in the same order, so that they cannot deadlock.
    for (pattern, tier, provider, model), scores in sorted(outcomes.items()):
        row = locked_row(
            LearnedEvidence, pattern=pattern, tier=tier, provider=provider, model=model,
            tenant=tenant,
        )  # fmt: skip
        evidence = _weighed(row, now)
        for score, expected in scores:
            prior = tier_prior("moderate", tier) if expected is None else expected
            evidence = learn(evidence, score, prior)
        row.count, row.weight = evidence.count, evidence.weight
        row.quality_sum, row.expected_sum = evidence.quality_sum, evidence.expected_sum
        row.updated_at = now
        row.save()


def evidence_change(verdict: Feedback, change: float) -> None:
    """Add ``change`` to the score of an earlier verdict, with the weight that it has by now."""
    row = locked_row(
        LearnedEvidence,
        pattern=verdict.pattern,
        tier=verdict.tier,
        provider=verdict.provider,
        model=verdict.model,
        tenant=verdict.tenant,
    )
    later = Feedback.objects.filter(
        pattern=verdict.pattern,
        tier=verdict.tier,
        provider=verdict.provider,
        model=verdict.model,
        tenant=verdict.tenant,
        pk__gt=verdict.pk,
    ).count()
    days = (row.updated_at - verdict.created_at).total_seconds() / _SECONDS_PER_DAY
    weight = MEMORY**later * 0.5 ** (max(0.0, days) / HALF_LIFE_DAYS)
    row.quality_sum = min(max(0.0, row.quality_sum + change * weight), row.weight)
    row.save()


def evidence_load(now: datetime | None = None) -> dict[EvidenceKey, Evidence]:
    """Return the evidence of all tenants, weighed by its age at ``now`` and by tenant."""
    now = now or timezone.now()
    rows = list(LearnedEvidence.objects.all())
    evidence = {
        ((row.pattern, row.tier, row.provider, row.model), row.tenant): _weighed(row, now)
        for row in rows
    }
    tenants = {row.tenant for row in rows if row.tenant}
    several = len(tenants) > 1 or (bool(tenants) and bool(tenants_known() - tenants))
    return combined(evidence, limited=several)  # type: ignore[arg-type]


def evidence_rebuild() -> int:
    """Compute the sums again from all verdicts, oldest first; return the number of verdicts.

    This is one transaction: readers see the old sums until it ends.
    """
    with transaction.atomic():
        if connection.vendor == "postgresql":
            # The lock makes a verdict that arrives now wait, so that it counts once.
            with connection.cursor() as cursor:
                cursor.execute("LOCK TABLE learned_evidence IN EXCLUSIVE MODE")
        LearnedEvidence.objects.all().delete()
        verdicts = Feedback.objects.order_by("pk").iterator(_BATCH_SIZE)
        return sum(_add_verdicts(batch) for batch in batched(verdicts, _BATCH_SIZE))


def _add_verdicts(verdicts: Sequence[Feedback]) -> int:
    by_day: dict[tuple[datetime, str], dict[EvidenceKey, list[tuple[float, float | None]]]]
    by_day = defaultdict(lambda: defaultdict(list))
    for verdict in verdicts:
        day = verdict.created_at.replace(hour=0, minute=0, second=0, microsecond=0)
        key = (verdict.pattern, verdict.tier, verdict.provider, verdict.model)
        by_day[day, verdict.tenant][key].append((verdict.score, verdict.expected))  # type: ignore[index]
    for (day, tenant), outcomes in sorted(by_day.items()):
        evidence_add(outcomes, day, tenant=tenant)
    return len(verdicts)


def _weighed(row: LearnedEvidence, now: datetime) -> Evidence:
    stored = Evidence(row.count, row.weight, row.quality_sum, row.expected_sum)
    days = (now - row.updated_at).total_seconds() / _SECONDS_PER_DAY
    return faded(stored, days, HALF_LIFE_DAYS)
