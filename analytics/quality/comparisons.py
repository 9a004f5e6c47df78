"""Writing down that one prompt was answered by two models."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db import transaction

from analytics.budgets.claims import Cost
from analytics.budgets.holding import book
from analytics.models import Comparison, RequestRecord

_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Compared:
    """A model and how good its answer was, 0-1, ``None`` where that could not be judged."""

    provider: str
    model: str
    score: float | None


@dataclass(frozen=True, slots=True)
class Judged:
    """Who judged, what that and the second answer cost in USD, and what was said each time, or
    why it came to nothing. ``costs`` are the same, call by call, for the budgets.
    """

    judge: str = ""
    judge_cost: Decimal = _ZERO
    answer_cost: Decimal = _ZERO
    verdicts: Sequence[Any] = ()
    error: str = ""
    costs: Sequence[Cost] = ()


@transaction.atomic
def comparison_record(
    request_id: uuid.UUID,
    candidate: Compared,
    reference: Compared,
    *,
    source: str,
    expected: float | None = None,
    served: bool = True,
    judged: Judged = Judged(),
) -> Comparison | None:
    """``None`` where the request is gone. ``served``: the client had the candidate's answer."""
    request = RequestRecord.objects.only("created_at", "pattern", "tier", "strategy").filter(
        pk=request_id
    )
    record = request.first()
    book(judged.costs)
    if record is None:
        return None
    return Comparison.objects.create(
        request=record,
        # The request's time: reports set its quality beside that request's saving.
        created_at=record.created_at,
        source=source,
        pattern=record.pattern,
        tier=record.tier,
        strategy=record.strategy,
        provider=candidate.provider,
        model=candidate.model,
        score=candidate.score,
        expected=expected,
        served=served,
        reference_provider=reference.provider,
        reference_model=reference.model,
        reference_score=reference.score,
        judge=judged.judge,
        judge_cost=judged.judge_cost,
        answer_cost=judged.answer_cost,
        verdicts=list(judged.verdicts),
        error=judged.error,
    )
