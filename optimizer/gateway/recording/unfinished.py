"""Ends the requests that an exception ended: the one place that settles what they hold.

Whatever the exception is and wherever it is raised, each call that was made has a record, the
held money and tokens are settled, and the caller gets an error.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from analytics.ledger.ledger import BudgetsUnavailable, LedgerUnavailable
from analytics.ledger.write_health import RecordsUnavailable
from optimizer.access.rate_limits import RateLimitExceeded
from optimizer.budgets.reservation import Reservation
from optimizer.domain.analyzed_request import AnalyzedRequest
from optimizer.domain.result import (
    BudgetExceeded,
    GuardrailRefused,
    NotCached,
    RoutingUnavailable,
    UnknownInputRefused,
)
from optimizer.gateway.recording.accounting import Accounting, Recorded
from optimizer.shared.tasks import Background
from providers.attempts import GUARDRAIL_FAILED, GUARDRAIL_REFUSED, CallRefused
from providers.completion import Completion
from providers.errors import ClientGone, ProviderError
from providers.resilience import AllProvidersFailed, Attempt
from routing.models import NoEligibleModel, RoutingDecision

logger = logging.getLogger(__name__)

INTERNAL_ERROR = "internal_error"
# Before a call they refuse the request, which then has no record; the last one has a record.
_REFUSALS = (
    BudgetExceeded,
    BudgetsUnavailable,
    NoEligibleModel,
    NotCached,
    RateLimitExceeded,
    RecordsUnavailable,
    UnknownInputRefused,
    RoutingUnavailable,
)


class CancelledWithin(Exception):
    """A part of this service cancelled a request that its client still waits for."""


def cancelled_from_within(error: BaseException) -> bool:
    """Return whether ``error`` cancels the current task although no code asked for it."""
    task = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and not (task and task.cancelling())


@dataclass(frozen=True, slots=True)
class UnfinishedCall:
    """What is known of a request when an exception ends it.

    ``completion`` is the answer, or the part of it that arrived, if it could not be recorded.
    """

    analyzed: AnalyzedRequest
    started: float
    attempts: Sequence[Attempt] = ()
    decision: RoutingDecision | None = None
    reservation: Reservation | None = None
    completion: Completion | None = None

    @property
    def charged(self) -> list[Attempt]:
        """Return the failed attempts, with the call whose answer could not be recorded."""
        attempts = list(self.attempts)
        if self.completion is not None:
            answer = self.completion
            message = "answered, and the answer could not be processed"
            attempts.append(
                Attempt(answer.provider, answer.model, INTERNAL_ERROR, message, usage=answer.usage)
            )
        return attempts


class UnfinishedCalls:
    """Records unfinished requests and gives back what is held for them.

    ``what`` names the service in the message of a request that no provider answered.
    """

    def __init__(self, accounting: Accounting, what: str = "Routing") -> None:
        self._accounting = accounting
        self._what = what
        self._background = Background()

    async def end(
        self, call: UnfinishedCall, error: BaseException, *, unpriced: bool = False
    ) -> BaseException:
        """Settle ``call`` and return the exception to raise for its client.

        A task that is being cancelled does not wait for it. ``unpriced`` records the cost as
        unknown.
        """
        if cancelled_from_within(error):
            error = CancelledWithin("The request was cancelled within the service.")
        settling = self._background.run(self._settle(call, error, unpriced=unpriced))
        if call.reservation is not None:
            call.reservation.hand_to(settling)
        if not isinstance(error, asyncio.CancelledError):
            await asyncio.shield(settling)
        if isinstance(error, CallRefused):
            recorded_for = call.analyzed.request.request_id
            return GuardrailRefused(error, recorded_for=recorded_for)
        if isinstance(error, AllProvidersFailed):
            return RoutingUnavailable(
                f"{self._what} unavailable: every provider failed.",
                recorded_for=call.analyzed.request.request_id,
                attempts=error.attempts,
                deadline_passed=error.deadline_passed,
            )
        return error

    async def record(
        self, call: UnfinishedCall, recording: Coroutine[Any, Any, Recorded]
    ) -> Recorded:
        """Return the result of ``recording``, which records the answer of ``call``.

        It goes on if the client leaves, as the call is paid for. If it fails, the call is
        settled.
        """
        task = self._background.run(self._record_or_settle(call, recording))
        if call.reservation is not None:
            call.reservation.hand_to(task)
        return await asyncio.shield(task)

    async def _record_or_settle(
        self, call: UnfinishedCall, recording: Coroutine[Any, Any, Recorded]
    ) -> Recorded:
        try:
            return await recording
        except BaseException as error:  # noqa: BLE001 - whatever it is, the call is settled
            raise await self.end(call, error) from None

    async def drain(self) -> None:
        """Wait until everything is settled."""
        await self._background.drain()

    async def _settle(
        self, call: UnfinishedCall, error: BaseException, *, unpriced: bool = False
    ) -> None:
        attempts = call.charged
        recorded = isinstance(error, RoutingUnavailable)
        # What guard rails found is no call, and costs nothing.
        called = any(attempt.rail is None for attempt in attempts)
        if not recorded and (called or not isinstance(error, _REFUSALS)):
            recorded = await self._record(call, attempts, error, unpriced=unpriced)
        # What may have been charged and is recorded nowhere stays held.
        if call.reservation is not None and (recorded or not called):
            await call.reservation.release()
        if call.analyzed.request.client.tokens_per_minute is not None:
            await self._accounting.settle_tokens(call.analyzed, attempts)

    async def _record(
        self,
        call: UnfinishedCall,
        attempts: Sequence[Attempt],
        error: BaseException,
        *,
        unpriced: bool,
    ) -> bool:
        code, detail = _reason(attempts, error)
        for _ in range(2):
            try:
                await self._accounting.record_failure(
                    call.analyzed,
                    call.decision,
                    attempts,
                    call.started,
                    detail,
                    code=code,
                    unpriced=unpriced,
                )
            except Exception as failure:
                logger.error("A request that failed could not be recorded", exc_info=failure)
                # A record without a price is better than none. If nothing can be stored, the
                # price is not to blame, and what was paid must not be forgotten.
                unpriced = not isinstance(failure, LedgerUnavailable)
            else:
                return True
        return False


def _reason(attempts: Sequence[Attempt], error: BaseException) -> tuple[str, str]:
    """Return the error code and what it means, both empty where the attempts say it."""
    if isinstance(error, asyncio.CancelledError):
        return ClientGone.code, "" if attempts else "The client disconnected before a call."
    if isinstance(error, CallRefused):
        return GUARDRAIL_FAILED if error.unavailable else GUARDRAIL_REFUSED, error.reason
    if isinstance(error, (AllProvidersFailed, BudgetsUnavailable, ProviderError)):
        return "", ""
    # The exception's text may hold a prompt; its type does not.
    return INTERNAL_ERROR, f"The service failed with {type(error).__name__}."
