"""Answers deferred requests by calls of their own, a few at a time.

These are requests that no batch can answer: their provider has none, a batch had no answer to
them, or their deadline is near.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

from analytics.budgets.begun_calls import proof_of
from analytics.deferred import batches as steps
from analytics.deferred.requests import deferred_end, is_recorded
from analytics.ledger.ledger import BudgetsUnavailable, LedgerUnavailable
from analytics.ledger.write_health import RecordsUnavailable
from analytics.models import DeferredRequest
from optimizer.access.rate_limits import RateLimitExceeded
from optimizer.domain.identifiers import new_request_id
from optimizer.domain.result import (
    BudgetExceeded,
    NotCached,
    RoutingUnavailable,
    UnknownInputRefused,
)
from optimizer.gateway.deferred.context import KEY_GONE, LaneContext
from optimizer.gateway.deferred.restored import for_a_call, restored
from optimizer.shared.tasks import Background
from routing.models import NoEligibleModel

logger = logging.getLogger(__name__)

State = DeferredRequest.State
_LONGEST_CALL = timedelta(minutes=12)
_MOST_CALLS = 4
_PASSING = (BudgetsUnavailable, LedgerUnavailable, RecordsUnavailable, RateLimitExceeded)
_REFUSED: dict[type[Exception], tuple[str, int]] = {
    BudgetExceeded: ("budget_exceeded", 429),
    NoEligibleModel: ("unsupported_feature", 400),
    NotCached: ("not_cached", 504),
    UnknownInputRefused: ("unknown_input_size", 400),
}


class DirectCalls:
    """Makes the calls; ``proofs`` is the folder in which workers prove whether they live."""

    def __init__(self, context: LaneContext, proofs: Path) -> None:
        self._context = context
        self._proofs = proofs
        self._running: set[UUID] = set()
        self._background = Background()

    async def begin(self) -> None:
        """Begin calls for requests that need one, as many as may run at once."""
        context, options = self._context, self._context.options()
        now = context.clock()
        near = now + timedelta(seconds=options.fallback_seconds)
        for row in await context.do(steps.requests_waiting, 10 * options.calls_at_once):
            needs = row.direct or row.deadline_at <= near or context.api(row.provider) is None
            if needs and not await self._begin_call(row):
                return
        last = now + timedelta(seconds=options.last_call_seconds)
        for row in await context.do(steps.requests_late, last):
            # Its batch has not ended, though its end was asked for: nobody waits for it longer.
            if row.state == State.IN_BATCH and not await self._begin_call(row):
                return

    async def recover(self) -> None:
        """Take up again the calls of workers that have died."""
        context = self._context
        for row in await context.do(steps.requests_calling):
            if row.pk in self._running or not self._is_lost(row, context.clock()):
                continue
            assert row.call_id is not None
            # What the call may have cost is recorded first.
            if await context.do(steps.call_is_settled, row.call_id, row.claimed_by):
                await context.do(
                    steps.call_return, row.pk, 0, "worker_lost", "The worker of its call has ended."
                )

    async def drain(self) -> None:
        """Wait for the calls that have begun."""
        await self._background.drain()

    def _is_lost(self, row: DeferredRequest, now: datetime) -> bool:
        if row.claimed_by == self._context.worker or row.not_before < now:
            return True
        return proof_of(self._proofs, row.claimed_by).dead

    async def _begin_call(self, row: DeferredRequest) -> bool:
        """Begin the call of a request; return whether there was room for it."""
        context = self._context
        if len(self._running) >= context.options().calls_at_once:
            return False
        # A batch that may still answer is recorded under the request's own id.
        first = row.batch_id is None and not await context.do(is_recorded, row.pk)
        call_id = row.pk if first else new_request_id()
        until = context.clock() + _LONGEST_CALL
        if await context.do(steps.call_claim, row.pk, row.state, context.worker, call_id, until):
            self._running.add(row.pk)
            self._background.run(self._call(row, call_id, held=first))
        return True

    async def _call(self, row: DeferredRequest, call_id: UUID, *, held: bool) -> None:
        try:
            await self._answer(row, call_id, held=held)
        except Exception as error:
            logger.error("A deferred request could not be answered", exc_info=error)
            await self._context.do(
                steps.call_return, row.pk, 60, "internal_error", type(error).__name__
            )
        finally:
            self._running.discard(row.pk)

    async def _answer(self, row: DeferredRequest, call_id: UUID, *, held: bool) -> None:
        context = self._context
        client = context.client_of(row.api_key)
        if client is None:
            detail = "The API key of the request is not valid any more."
            await self._end(row, call_id, KEY_GONE, detail, 401)
            return
        request = for_a_call(restored(row, client), call_id=call_id, held=held)
        try:
            # The answer is written with its record.
            await context.routing.complete(request)
        except _PASSING as error:
            await context.do(steps.call_return, row.pk, 30, "unavailable", str(error))
        except RoutingUnavailable as error:
            await self._unanswered(row, error)
        except tuple(_REFUSED) as error:
            code, status = _REFUSED[type(error)]
            await self._end(row, call_id, code, str(error), status)

    async def _unanswered(self, row: DeferredRequest, error: RoutingUnavailable) -> None:
        context = self._context
        last = error.attempts[-1] if error.attempts else None
        code = last.error if last else error.code
        detail = "; ".join(f"{a.provider}/{a.model}: {a.message}" for a in error.attempts)
        again = 60 * 2**row.calls
        time_left = (row.deadline_at - context.clock()).total_seconds()
        final = error.all_rejected or row.calls + 1 >= _MOST_CALLS or again >= time_left
        if final:
            status = 400 if error.all_rejected else 503
            await context.do(deferred_end, row.pk, State.FAILED, code, detail or str(error), status)
        else:
            await context.do(steps.call_return, row.pk, again, code, detail or str(error))

    async def _end(
        self, row: DeferredRequest, call_id: UUID, code: str, detail: str, status: int
    ) -> None:
        context = self._context
        if call_id == row.pk:
            await context.fail(row, State.FAILED, code, detail, status)
        else:
            await context.do(deferred_end, row.pk, State.FAILED, code, detail, status)
