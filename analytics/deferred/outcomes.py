"""How deferred requests end, written in the transaction that records what they cost."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from django.db.models import Case, DateTimeField, F, Value, When
from django.utils import timezone

from analytics.models import DeferredRequest

State = DeferredRequest.State


@dataclass(frozen=True, slots=True)
class DeferredOutcome:
    """How a deferred request ended: with an ``answer`` in JSON, or with an error.

    Costs are USD; ``list_cost`` is what the same answer costs by a call of its own.
    """

    id: UUID
    state: str = State.DONE
    provider: str = ""
    model: str = ""
    answer: str = ""
    cost: Decimal | None = None
    savings: Decimal | None = None
    list_cost: Decimal | None = None
    status_code: int = 200
    error_code: str = ""
    error_detail: str = ""


def outcomes_write(outcomes: Iterable[DeferredOutcome]) -> None:
    """Write how requests ended that are still open.

    One that has ended before keeps its end: its answer is paid for, and not given.
    """
    for outcome in outcomes:
        now = timezone.now()
        DeferredRequest.objects.filter(pk=outcome.id, state__in=DeferredRequest.OPEN).update(
            state=outcome.state,
            provider=outcome.provider or F("provider"),
            model=outcome.model or F("model"),
            answer=outcome.answer,
            cost=outcome.cost,
            savings=outcome.savings,
            list_cost=outcome.list_cost,
            status_code=outcome.status_code,
            error_code=outcome.error_code[:64],
            error_detail=outcome.error_detail[:500],
            ended_at=now,
            webhook_due_at=webhook_due(now),
        )


def webhook_due(now: object) -> Case:
    """Return when the webhook of a request that ends ``now`` is due, null without one."""
    never = Value(None, output_field=DateTimeField())
    at = Value(now, output_field=DateTimeField())
    return Case(When(webhook="", then=never), default=at, output_field=DateTimeField())
