"""The results of the routing service: an answer, or the reason why there is none."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from math import ceil

from providers.attempts import CallRefused
from providers.completion import Completion
from providers.residency import regions_text
from providers.resilience import Attempt
from providers.values import frozen
from routing.models import RoutingDecision


class RoutingUnavailable(Exception):
    """No provider answered. ``failures`` lists the providers that were called, with their errors.

    ``recorded_for`` is the id of the request whose ledger entry holds the failed calls.
    """

    code = "routing_unavailable"

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
        """Return whether every provider that was called rejected the request itself."""
        faults = {"request_rejected", "request_too_large", "content_blocked"}
        return bool(self.attempts) and all(a.error in faults for a in self.attempts)

    @property
    def failures(self) -> list[dict[str, str]]:
        """Return the provider, model, error code and message of each failed call."""
        return [
            {"provider": a.provider, "model": a.model, "error": a.error, "message": a.message}
            for a in self.attempts
        ]


class GuardrailRefused(RoutingUnavailable):
    """A guard rail refused the request or its answer; ``unavailable`` if it could not check.

    ``field`` is the field of the request at fault, "" where no one field is.
    """

    code = "guardrail_refused"

    def __init__(self, refused: CallRefused, *, recorded_for: uuid.UUID) -> None:
        super().__init__(refused.reason, recorded_for=recorded_for)
        self.unavailable = refused.unavailable
        self.field = refused.field

    @property
    def all_rejected(self) -> bool:
        """Return whether the request itself is at fault."""
        return not self.unavailable


class NestedTooDeeply(ValueError):
    """A ``field`` of the request has more levels than can be checked."""

    def __init__(self, field: str) -> None:
        super().__init__(f"{field}: it is nested too deeply.")
        self.field = field


class OutsideRegions(Exception):
    """No model of those that may answer keeps the data within the regions that are demanded."""

    def __init__(self, residency: Iterable[str]) -> None:
        where = regions_text(residency)
        super().__init__(f"The data must stay in {where}, and no model that may answer does so.")


class BudgetExceeded(Exception):
    """What is left of a budget does not cover what the request may cost; no model was called.

    ``resets_at`` (aware) is when the request may fit, ``None`` if never. ``recorded_for`` is
    the id of the request that was refused.
    """

    def __init__(
        self, message: str, *, recorded_for: uuid.UUID, resets_at: datetime | None
    ) -> None:
        super().__init__(message)
        self.recorded_for = recorded_for
        self.resets_at = resets_at

    @property
    def retry_after(self) -> int | None:
        """Return the whole seconds until ``resets_at``, at least 1; ``None`` if it never fits."""
        if self.resets_at is None:
            return None
        return max(1, ceil((self.resets_at - datetime.now(UTC)).total_seconds()))


class SessionStopped(Exception):
    """The session must not go on: an operator stopped it, or its agent runs away."""


class UnknownInputRefused(Exception):
    """A budget concerns the request, and the size of its input cannot be known before the call.

    ``field`` is the first field at fault. Each of ``unknown`` is a field and what it holds.
    """

    def __init__(self, unknown: Sequence[tuple[str, str]]) -> None:
        self.field = unknown[0][0]
        named = ", ".join(f"{field} ({what})" for field, what in unknown)
        super().__init__(
            f"A budget applies, and the size of this input is not known before the call: {named}. "
            f"The operator refuses such requests (BUDGET_UNKNOWN_INPUT=refuse)."
        )


class NotCached(Exception):
    """The client accepts only a cached answer, and there is none."""


@frozen
class CompletionResult:
    """The answer to a request (``completion``), with its decision and its costs.

    Costs are USD, ``None`` if a price is unknown. ``price_basis`` is how the cost of the
    answer is known (:class:`providers.pricing.CallPrice`), "" if nothing was charged;
    ``list_cost`` is the price by the table if it is another amount. ``likeness`` is the
    similarity of the two prompts (-1 to 1) if the semantic cache answered, else ``None``.
    ``dropped`` are the fields of the request that the model left out, set where a stream ends.
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
    dropped: tuple[str, ...] = ()
    price_basis: str = ""
    list_cost: Decimal | None = None

    @property
    def response(self) -> str:
        """Return the text of the answer."""
        return self.completion.text

    @property
    def provider(self) -> str:
        """Return the provider that answered."""
        return self.completion.provider

    @property
    def model(self) -> str:
        """Return the model that answered."""
        return self.completion.model

    @property
    def tokens_in(self) -> int:
        """Return the input tokens of the answer's call."""
        return self.completion.usage.input_tokens

    @property
    def tokens_out(self) -> int:
        """Return the output tokens of the answer's call."""
        return self.completion.usage.output_tokens


class UnknownObject(Exception):
    """There is no object with this id, such as a batch or a response, or it is another tenant's.

    ``param`` is the field that names it, ``code`` the error code; both may be empty.
    """

    def __init__(self, message: str, param: str = "", code: str = "") -> None:
        super().__init__(message)
        self.param = param
        self.code = code


PASSED_UNREAD = (
    "Guard rails are on, and this endpoint passes requests on to a provider unread, so it is off."
)


class NotAllowed(Exception):
    """The client's key does not allow the request; the message says why."""
