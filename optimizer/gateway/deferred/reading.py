"""Follows batches at their providers, and records each of their results once."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from contextlib import aclosing
from dataclasses import replace
from datetime import timedelta

from analytics.deferred import batches as steps
from analytics.deferred.outcomes import outcomes_write
from analytics.deferred.requests import is_recorded, recorded_cost
from analytics.models import DeferredRequest, ProviderBatch
from optimizer.domain.analyzed_request import AnalyzedRequest
from optimizer.domain.client import Client
from optimizer.gateway.deferred.context import LaneContext
from optimizer.gateway.deferred.restored import lane_trials, restored, restored_decision
from optimizer.gateway.deferred.sending import custom_id
from optimizer.gateway.recording.deferred_answers import answered_outcome, result_of_row
from optimizer.gateway.recording.timing import Timing
from providers.batches.jobs import BatchApi, BatchView, LineResult
from providers.completion import Completion
from providers.errors import ProviderError
from providers.resilience import Attempt

logger = logging.getLogger(__name__)

State = DeferredRequest.State
_MOST_FAILURES = 100
_SUPERSEDED = "superseded"


class Reader:
    """Asks how far batches are, and reads the results of those that have ended."""

    def __init__(self, context: LaneContext) -> None:
        self._context = context

    async def follow(self, batch: ProviderBatch) -> None:
        """Look at a running batch if it is time to, and read its results if it has ended."""
        context = self._context
        now, every = context.clock(), context.options().poll_seconds
        if batch.checked_at is not None and now - batch.checked_at < timedelta(seconds=every):
            return
        api = context.api(batch.provider)
        if api is None:
            return
        try:
            view = await api.view(batch.object_id)
            await context.do(steps.batch_note_checked, batch.pk)
            if view.state == "running":
                return
            if view.state == "ended":
                await self._read(batch, api, view)
            await self._close(batch, view)
        except ProviderError as error:
            logger.warning("A batch cannot be read now: %s", error)
            await context.do(steps.batch_postpone, batch.pk, every, str(error))
            if batch.calls_failed + 1 >= _MOST_FAILURES:
                await self._close(batch, BatchView("gone", reason=str(error)))
            return
        await self._clean_up(batch, api, view)

    async def _read(self, batch: ProviderBatch, api: BatchApi, view: BatchView) -> None:
        context = self._context
        rows = await context.do(steps.requests_of_batch, batch.pk)
        by_id = {custom_id(batch, row): row for row in rows}
        async with aclosing(api.results(batch.object_id, view)) as results:
            async for result in results:
                row = by_id.pop(result.custom_id, None)
                if row is None:
                    logger.warning("A batch has a result that it has no request for")
                    continue
                await self._take(batch, row, result)

    async def _take(self, batch: ProviderBatch, row: DeferredRequest, result: LineResult) -> None:
        context = self._context
        if result.ending == "answered":
            try:
                await self._answered(batch, row, result.body)
            except ProviderError as error:
                await self._unusable(batch, row, error)
            return
        if result.ending == "failed":
            code, detail = "batch_request_failed", _why(batch, result)
            # The provider may have found fault with the request: others are asked.
            await context.do(
                steps.request_return, row.pk, batch.pk, direct=True, error_code=code, detail=detail
            )
        else:
            await context.do(
                steps.request_return, row.pk, batch.pk, direct=False,
                error_code=f"batch_{result.ending}", detail=_why(batch, result),
            )  # fmt: skip

    async def _answered(self, batch: ProviderBatch, row: DeferredRequest, body: bytes) -> None:
        """Record an answer. Raises ProviderError if it cannot be used."""
        context = self._context
        analyzed = self._restored(row)
        provider, request = context.wire_request(batch.provider, batch.model, analyzed.request)
        completion = await asyncio.to_thread(provider.read_batched, request, body)
        if await context.do(is_recorded, row.pk):
            await self._only_give(row, completion)
            return
        timing = self._timing(batch, row)
        decision = restored_decision(row)
        if (batch.provider, batch.model) != (decision.provider, decision.model):
            decision = replace(decision, provider=batch.provider, model=batch.model)
        cut_off = "" if row.state in DeferredRequest.OPEN else _ended_before(row)
        recorded = await context.accounting.record_answer(
            analyzed, decision, completion, (), timing, cut_off=cut_off
        )
        if not cut_off:
            context.routing.follow(analyzed, recorded.result)

    async def _only_give(self, row: DeferredRequest, completion: Completion) -> None:
        """Give the answer of a request whose cost was recorded while it could not be given."""
        if row.state != State.IN_BATCH:
            return
        cost, savings = await self._context.do(recorded_cost, row.pk)
        result = result_of_row(
            self._restored(row), restored_decision(row), completion, cost, savings
        )
        await self._context.do(outcomes_write, [answered_outcome(row.pk, result, None)])

    async def _unusable(
        self, batch: ProviderBatch, row: DeferredRequest, error: ProviderError
    ) -> None:
        """Record what an answer cost that cannot be used, and ask elsewhere."""
        context = self._context
        # One id for each result, so that it is recorded once however often it is read.
        cost_id = uuid.uuid5(row.pk, batch.pk.hex)
        if error.usage is not None and not await context.do(is_recorded, cost_id):
            analyzed = self._restored(row)
            trials = lane_trials(analyzed.request, part_of=row.pk)
            request = replace(analyzed.request, request_id=cost_id, deferred=None, trials=trials)
            attempt = Attempt(
                batch.provider, batch.model, error.code, error.message, usage=error.usage
            )
            await context.accounting.record_failure(
                replace(analyzed, request=request),
                restored_decision(row),
                [attempt],
                time.perf_counter(),
            )
        await context.do(
            steps.request_return, row.pk, batch.pk, direct=True, error_code=error.code,
            detail=error.message,
        )  # fmt: skip

    async def _close(self, batch: ProviderBatch, view: BatchView) -> None:
        """End the batch; requests without a result go on by themselves."""
        cancelled = batch.cancelled_at is not None
        state = ProviderBatch.State.SETTLED
        if view.reason and not cancelled:
            logger.warning("A batch of %s has no results: %s", batch.provider, view.reason)
        await self._context.do(
            steps.batch_close, batch.pk, state, view.reason, direct=not cancelled
        )

    async def _clean_up(self, batch: ProviderBatch, api: BatchApi, view: BatchView) -> None:
        files = [*view.files, *([batch.file_id] if batch.file_id else [])]
        try:
            await api.clean_up(batch.object_id, files)
        except ProviderError as error:  # they end by themselves
            logger.warning("What is left of a batch could not be deleted: %s", error)

    def _restored(self, row: DeferredRequest) -> AnalyzedRequest:
        client = self._context.client_of(row.api_key) or Client(
            key=row.api_key, tenant=row.tenant, user=row.user_id, project=row.project
        )
        return restored(row, client)

    def _timing(self, batch: ProviderBatch, row: DeferredRequest) -> Timing:
        now = self._context.clock()
        sent = batch.submitted_at or now
        return Timing(
            (now - row.created_at).total_seconds() * 1000, (now - sent).total_seconds() * 1000
        )


def _why(batch: ProviderBatch, result: LineResult) -> str:
    status = "" if result.status is None else f" (HTTP {result.status})"
    return f"{batch.provider}: {result.message or result.ending}{status}"


def _ended_before(row: DeferredRequest) -> str:
    """Return the code of an answer that is paid for, but came when nobody wanted it any more."""
    return _SUPERSEDED if row.state == State.DONE else row.state
