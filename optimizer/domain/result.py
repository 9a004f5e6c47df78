"""What the routing service gives back: an answer, or why there is none."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from math import ceil

from providers.completion import Completion
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
    def all_rejected(self) -> bool:
        """Whether every provider that was asked found the request itself at fault."""
        faults = {"request_rejected", "request_too_large", "content_blocked"}
        return bool(self.attempts) and all(a.error in faults for a in self.attempts)

    @property
    def failures(self) -> list[dict[str, str]]:
        return [
            {"provider": a.provider, "model": a.model, "error": a.error, "message": a.message}
            for a in self.attempts
        ]


class BudgetExceeded(Exception):
    """A budget has no room for what the request may cost; nobody was called.

    ``resets_at`` (aware) is when it may fit, ``None`` if never. ``recorded_for`` is
    the request that was refused.
    """

    def __init__(
        self, message: str, *, recorded_for: uuid.UUID, resets_at: datetime | None
    ) -> None:
        super().__init__(message)
        self.recorded_for = recorded_for
        self.resets_at = resets_at

    @property
    def retry_after(self) -> int | None:
        """Whole seconds until then."""
        if self.resets_at is None:
            return None
        return max(1, ceil((self.resets_at - datetime.now(UTC)).total_seconds()))


class NotCached(Exception):
    """The client wanted a cached answer or none, and there is none."""


@dataclass(frozen=True, slots=True)
class CompletionResult:
    """What a client is told; ``completion`` is the answer itself.

    Costs are USD, ``None`` where a price is unknown. ``likeness`` is that of the
    prompts, where a cached answer was given to the same question in other words.
    """

    request_id: uuid.UUID
    completion: Completion
    decision: RoutingDecision
    complexity: float
    token_count: int
    cost: Decimal | None
    total_cost_today: Decimal | None
    cache_hit: bool
    cache_key: str | None
    original_cost: Decimal | None
    savings: Decimal | None
    likeness: float | None = None

    @property
    def response(self) -> str:
        return self.completion.text

    @property
    def provider(self) -> str:
        return self.completion.provider

    @property
    def model(self) -> str:
        return self.completion.model

    @property
    def tokens_in(self) -> int:
        return self.completion.usage.input_tokens

    @property
    def tokens_out(self) -> int:
        return self.completion.usage.output_tokens
