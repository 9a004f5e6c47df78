"""Import outcomes that were judged elsewhere as verdicts."""

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
    """One model's ``score`` (0-1) on one prompt, and the score that was ``expected``.

    ``external_id`` identifies the outcome, so that it counts once however often it is imported.
    ``tokens_out`` is the length of the answer, ``None`` if it was not recorded.
    """

    external_id: str
    pattern: str
    tier: Tier
    provider: str
    model: str
    score: float
    expected: float
    tokens_out: int | None = None


@transaction.atomic
def outcomes_import(outcomes: Sequence[JudgedOutcome]) -> int:
    """Store the new outcomes and add them to the evidence; return how many were new."""
    ids = [outcome.external_id for outcome in outcomes]
    stored = set(Feedback.objects.filter(external_id__in=ids).values_list("external_id", flat=True))
    new = {o.external_id: o for o in outcomes if o.external_id not in stored}.values()
    # Of two imports at the same time, one fails here on the constraint and is rolled back.
    Feedback.objects.bulk_create(
        Feedback(
            source=Feedback.Source.IMPORT,
            external_id=outcome.external_id,
            score=outcome.score,
            expected=outcome.expected,
            tokens_out=outcome.tokens_out,
            provider=outcome.provider,
            model=outcome.model,
            pattern=outcome.pattern,
            tier=outcome.tier,
        )
        for outcome in new
    )
    by_key: dict[EvidenceKey, list[tuple[float, float | None]]] = defaultdict(list)
    for outcome in new:
        key = (outcome.pattern, outcome.tier, outcome.provider, outcome.model)
        by_key[key].append((outcome.score, outcome.expected))
    evidence_add(by_key)
    return len(new)
