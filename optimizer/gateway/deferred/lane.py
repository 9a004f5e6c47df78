"""The batch lane: what one worker at a time does for all requests that are answered later."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta

from analytics.deferred import batches as steps
from analytics.deferred.leases import LASTS, lease_leave, lease_take
from analytics.deferred.requests import (
    deferred_forget,
    holds_sweep,
    webhook_note,
    webhooks_due,
    work_exists,
)
from analytics.models import DeferredRequest, ProviderBatch
from optimizer.gateway.deferred.calling import DirectCalls
from optimizer.gateway.deferred.context import LaneContext
from optimizer.gateway.deferred.ending import Deadlines
from optimizer.gateway.deferred.reading import Reader
from optimizer.gateway.deferred.sending import Sender
from optimizer.gateway.deferred.webhooks import Webhooks, again_after
from optimizer.shared.log_once import LogOnce
from optimizer.shared.webhook_client import WebhookClient
from providers.errors import ProviderError

logger = logging.getLogger(__name__)

NAME = "batch"
_LOOK_SECONDS = 5.0
_IDLE_SECONDS = 30.0
_RENEW_SECONDS = 15.0
_FORGET_SECONDS = 3600.0
Batch = ProviderBatch.State


class BatchLane:
    """Does the work of the lane, step by step; each step can be interrupted and done again.

    ``client_batches`` takes up the batches of clients and ends them. ``may_work`` is whether the
    database can be trusted to hold what is recorded now.
    """

    def __init__(
        self,
        context: LaneContext,
        calls: DirectCalls,
        webhooks: Webhooks,
        client_batches: Callable[[], Awaitable[None]],
        may_work: Callable[[], bool],
    ) -> None:
        self.context = context
        self._calls = calls
        self._webhooks = webhooks
        self._client_batches = client_batches
        self._may_work = may_work
        self._sender = Sender(context)
        self._reader = Reader(context)
        self._deadlines = Deadlines(context)
        self._forget_at = 0.0
        self._errors = LogOnce(logger, logging.ERROR)

    async def run(self) -> None:
        """Work until the task is cancelled; one worker does, the others wait for its lease."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            try:
                busy = await self.work()
            except Exception as error:  # noqa: BLE001 - logged, and done again in the next round
                self._errors.log("The batch lane cannot go on now", exc_info=error)
            else:
                self._errors.resolved()
                if not busy:
                    await asyncio.sleep(_IDLE_SECONDS - _LOOK_SECONDS)

    async def work(self) -> bool:
        """Do one round if there is work and the lease is free; return whether there is work."""
        context = self.context
        if not self._may_work() or not await context.do(work_exists):
            return False
        if not await self._renew():
            return True
        renewing = asyncio.create_task(self._keep_lease())
        try:
            await self.round()
        finally:
            renewing.cancel()
        return True

    async def round(self) -> None:
        """Do everything once that can be done now."""
        context = self.context
        await self._calls.recover()
        await self._client_batches()
        await self._deadlines.look()
        await self._each_batch(Batch.SUBMITTING, self._sender.resolve)
        await self._each_batch(Batch.RUNNING, self._reader.follow)
        await self._sender.plan()
        await self._each_batch(Batch.PLANNED, self._sender.create)
        await self._calls.begin()
        await self._client_batches()
        await context.do(holds_sweep)
        await self._call_webhooks()
        if time.monotonic() >= self._forget_at:
            self._forget_at = time.monotonic() + _FORGET_SECONDS
            await context.do(deferred_forget)

    async def stop(self) -> None:
        """Wait for the calls that have begun, and leave the lease to others."""
        await self._calls.drain()
        if self.context.leased_until:
            await self.context.do(lease_leave, NAME, self.context.worker)

    async def settle_calls(self) -> None:
        """Wait until no call of this worker is in progress."""
        await self._calls.drain()

    async def _each_batch(
        self, state: str, step: Callable[[ProviderBatch], Awaitable[None]]
    ) -> None:
        context = self.context
        for batch in await context.do(steps.batches_open):
            if batch.state != state or not context.leased():
                continue
            if batch.not_before > context.clock():
                continue
            try:
                await step(batch)
            except ProviderError as error:
                logger.warning("A batch has to wait: %s", error)
                await context.do(steps.batch_postpone, batch.pk, 60, str(error))
            except Exception as error:  # no batch may keep the others from being worked on
                logger.error("A batch cannot be worked on now", exc_info=error)
                await context.do(steps.batch_postpone, batch.pk, 60, type(error).__name__)

    async def _renew(self) -> bool:
        began = time.monotonic()
        if not await self.context.do(lease_take, NAME, self.context.worker):
            self.context.leased_until = 0.0
            return False
        self.context.leased_until = began + LASTS.total_seconds()
        return True

    async def _keep_lease(self) -> None:
        while True:
            await asyncio.sleep(_RENEW_SECONDS)
            await self._renew()

    async def _call_webhooks(self) -> None:
        due = await self.context.do(webhooks_due)
        if not due:
            return
        async with WebhookClient() as client:
            await asyncio.gather(*(self._call_webhook(client, row) for row in due))

    async def _call_webhook(self, client: WebhookClient, row: DeferredRequest) -> None:
        error = await self._webhooks.call(client, row)
        again = again_after(row.webhook_attempts + 1) if error else timedelta(0)
        await self.context.do(webhook_note, row.pk, error, again)
