"""What the routing service gives back: an answer, or why there is none."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from providers.resilience import Attempt
from routing.models import RoutingDecision


class RoutingUnavailable(Exception):
    """No provider answered. ``failures`` says which were asked and why they failed.

    ``recorded_for`` is the request under which the failed calls stand in the ledger.
    """

    def __init__(
        self,
        message: str,
        *,
        recorded_for: uuid.UUID,
        attempts: Sequence[Attempt] = (),
        deadline_passed: bool = False,
    ) -> None:
        super().__init__(message)
        self.recorded_for = recorded_for
        self.attempts = tuple(attempts)
        self.deadline_passed = deadline_passed

    @property
    def failures(self) -> list[dict[str, str]]:
        return [
            {"provider": a.provider, "model": a.model, "error": a.error, "message": a.message}
            for a in self.attempts
        ]


@dataclass(frozen=True, slots=True)
class CompletionResult:
    """What a client is told. Costs are USD, ``None`` where a price is unknown."""

    request_id: uuid.UUID
    response: str
    decision: RoutingDecision
    provider: str
    model: str
    complexity: float
    token_count: int
    tokens_in: int
    tokens_out: int
    cost: Decimal | None
    total_cost_today: Decimal | None
    cache_hit: bool
    cache_key: str | None
    original_cost: Decimal | None
    savings: Decimal | None
