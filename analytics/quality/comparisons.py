"""Comparisons: records of one prompt that two models answered."""

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
class ScoredAnswer:
    """A model and the score of its answer, 0-1; ``None`` if it could not be judged."""

    provider: str
    model: str
    score: float | None


@dataclass(frozen=True, slots=True)
class Judgement:
    """The judge, its verdicts and its costs.

    ``judge_cost`` and ``answer_cost`` are what judging and the second answer cost, in USD.
    ``costs`` are the same amounts, call by call, for the budgets. ``error`` says why there is
    no verdict.
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
    candidate: ScoredAnswer,
    reference: ScoredAnswer,
    *,
    source: str,
    expected: float | None = None,
    served: bool = True,
    strategy: str = "",
    judged: Judgement = Judgement(),
) -> Comparison | None:
    """Store a comparison and book its costs; return ``None`` if the request was deleted.

    ``served`` says whether the client received the candidate's answer. ``strategy`` is what chose
    the candidate, by default what chose for the request.
    """
    requests = RequestRecord.objects.only("created_at", "pattern", "tier", "strategy").filter(
        pk=request_id
    )
    record = requests.first()
    book(judged.costs)
    if record is None:
        return None
    return Comparison.objects.create(
        request=record,
        # The request's time, so that reports count its quality with that request's saving.
        created_at=record.created_at,
        source=source,
        pattern=record.pattern,
        tier=record.tier,
        strategy=strategy or record.strategy,
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
