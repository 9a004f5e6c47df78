"""The calls of a request that served nothing, and the error if no model of its chain answers."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from providers.completion import Usage
from providers.errors import InternalError

logger = logging.getLogger(__name__)

CHECK_FAILED, CHECK_CALL, NOT_SERVED = "check_failed", "check_call", "not_served"
"""Calls that succeeded and whose answers are not served: one that failed a check, one that was
made for a check, and one that the request ended before its checks did, or that was not needed."""
GUARDRAIL, GUARDRAIL_REFUSED, GUARDRAIL_FAILED = (
    "guardrail",
    "guardrail_refused",
    "guardrail_failed",
)
"""What a guard rail found: it let pass, it refused, or it could not say."""
UNSERVED = frozenset({
    CHECK_FAILED, CHECK_CALL, NOT_SERVED, GUARDRAIL, GUARDRAIL_REFUSED, GUARDRAIL_FAILED,
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Attempt:
    """One call whose answer was not served: the model, the reason, and the tokens that it used.

    ``usage`` is an estimate, and marked as such, if the provider may charge for the call and
    did not say for what. ``retry_after`` is how many seconds the provider asks clients to wait.
    ``words`` is the provider's own explanation, which only the client that sent the request may
    see; ``body`` and ``headers`` are its error as it came, for a client of the same ``wire``.
    ``service_tier`` is the tier that the call asked for, "" for the standard one. ``member`` is
    the short name of the pool's member that was called, "" without a pool. ``rail`` is what a guard
    rail found, which is no call of the model.
    """

    provider: str
    model: str
    error: str
    message: str
    status: int | None = None
    usage: Usage | None = None
    words: str = field(default="", repr=False)
    retry_after: float | None = None
    wire: str = ""
    body: Mapping[str, Any] | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    service_tier: str = ""
    member: str = ""
    rail: Mapping[str, Any] | None = None


class AllProvidersFailed(Exception):
    """No model of the chain answered. ``attempts`` lists the calls and why they failed."""

    def __init__(self, attempts: Sequence[Attempt], *, deadline_passed: bool = False) -> None:
        self.attempts = tuple(attempts)
        self.deadline_passed = deadline_passed
        super().__init__("; ".join(f"{a.provider}/{a.model}: {a.message}" for a in attempts))


class CallRefused(AllProvidersFailed):
    """A guard rail refused what was asked, or the answer to it.

    ``reason`` is for the client. ``unavailable`` is whether the rail could not say, and so refuses.
    ``field`` is the field at fault, "" where no one field is.
    """

    def __init__(
        self, attempts: Sequence[Attempt], reason: str, *, unavailable: bool, field: str = ""
    ) -> None:
        super().__init__(attempts)
        self.reason = reason
        self.unavailable = unavailable
        self.field = field


def internal_error(provider: str, error: Exception) -> InternalError:
    """Log an error that a client of ours must not raise, and return the one to record.

    The log names its type and place only; the message may hold a prompt.
    """
    kind, place = type(error).__name__, _place_of(error)
    logger.error("A call of %s failed by an error of ours: %s at %s", provider, kind, place)
    return InternalError(provider, f"could not be called or read, by an error of ours ({kind})")


def _place_of(error: BaseException) -> str:
    trace = error.__traceback__
    if trace is None:
        return "unknown place"
    while trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_globals.get('__name__', '?')}:{trace.tb_lineno}"
