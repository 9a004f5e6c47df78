"""What happens as deadlines come near: batches are cancelled, and what is late ends as such."""

from __future__ import annotations

import logging
from datetime import timedelta

from analytics.deferred import batches as steps
from analytics.deferred.requests import deferred_end
from analytics.models import DeferredRequest, ProviderBatch
from optimizer.gateway.deferred.context import LaneContext
from providers.errors import ProviderError

logger = logging.getLogger(__name__)

State = DeferredRequest.State
_LATE = "deadline_passed"
_LATE_WORDS = "The deadline passed before an answer came. Nothing is charged for the request."


class Deadlines:
    """Ends what is late, and cancels batches that cannot be waited for any more."""

    def __init__(self, context: LaneContext) -> None:
        self._context = context

    async def look(self) -> None:
        """End what is late, and cancel the batches of requests whose deadlines are near."""
        context, options = self._context, self._context.options()
        now = context.clock()
        near = now + timedelta(seconds=options.fallback_seconds)
        urgent = set()
        for row in await context.do(steps.requests_late, near):
            if row.deadline_at <= now and row.state != State.CALLING:
                await self._expire(row)
            elif row.state == State.IN_BATCH:
                urgent.add(row.batch_id)
        for batch in await context.do(steps.batches_open):
            rows = await context.do(steps.requests_of_batch, batch.pk)
            nobody_waits = not steps.open_counts(rows)
            if batch.cancelled_at is None and (batch.pk in urgent or nobody_waits):
                await self._cancel(batch)

    async def _expire(self, row: DeferredRequest) -> None:
        context = self._context
        if row.batch_id is None:
            await context.fail(row, State.EXPIRED, _LATE, _LATE_WORDS, 504)
        else:
            # Its batch may still cost something: that is recorded once it has ended.
            await context.do(deferred_end, row.pk, State.EXPIRED, _LATE, _LATE_WORDS, 504)

    async def _cancel(self, batch: ProviderBatch) -> None:
        context = self._context
        if batch.state == ProviderBatch.State.PLANNED:
            await context.do(
                steps.batch_close, batch.pk, ProviderBatch.State.FAILED, "cancelled", direct=False
            )
            return
        api = context.api(batch.provider)
        if batch.state != ProviderBatch.State.RUNNING or api is None:
            return
        try:
            await api.cancel(batch.object_id)
        except ProviderError as error:
            # One that has ended in the meantime cannot be cancelled: its results are read.
            logger.warning("A batch could not be cancelled: %s", error)
        await context.do(steps.batch_note_cancelled, batch.pk)
