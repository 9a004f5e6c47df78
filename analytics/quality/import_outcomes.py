"""Outcomes judged elsewhere, imported as verdicts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from django.db import transaction

from analytics.models import Feedback
from analytics.quality.evidence import evidence_add
from routing.models import EvidenceKey, Tier


@dataclass(frozen=True, slots=True)
class JudgedOutcome:
    """One model's ``score`` (0-1) on one prompt, where ``expected`` had been expected.

    ``external_id`` names it for good: it counts once however often it comes.
    """

    external_id: str
    pattern: str
    tier: Tier
    provider: str
    model: str
    score: float
    expected: float


@transaction.atomic
def outcomes_import(outcomes: Sequence[JudgedOutcome]) -> int:
    """Store those outcomes that are new and learn from them; how many there were."""
    ids = [outcome.external_id for outcome in outcomes]
    known = set(Feedback.objects.filter(external_id__in=ids).values_list("external_id", flat=True))
    new = {o.external_id: o for o in outcomes if o.external_id not in known}.values()
    # One of two imports at the same time fails here on the constraint, and leaves nothing.
    Feedback.objects.bulk_create(
        Feedback(
            source=Feedback.Source.IMPORT,
            external_id=outcome.external_id,
            score=outcome.score,
            expected=outcome.expected,
            provider=outcome.provider,
            model=outcome.model,
            pattern=outcome.pattern,
            tier=outcome.tier,
        )
        for outcome in new
    )
    learned: dict[EvidenceKey, list[tuple[float, float | None]]] = defaultdict(list)
    for outcome in new:
        key = (outcome.pattern, outcome.tier, outcome.provider, outcome.model)
        learned[key].append((outcome.score, outcome.expected))
    evidence_add(learned)
    return len(new)
