"""Takes requests that may wait: decides which, holds their money, and writes them down."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial
from typing import Any

from analytics.database.aside import DatabaseThread
from analytics.deferred.requests import deferred_accept, deferred_end
from analytics.models import DeferredRequest
from optimizer.domain.analyzed_request import AnalyzedRequest
from optimizer.domain.request import GatewayRequest
from optimizer.gateway.deferred.options import LaneOptions, lane_options
from optimizer.gateway.deferred.restored import LEVER, SentRequest, deferred_row
from optimizer.gateway.levers.plans import with_trial
from optimizer.gateway.recording.accounting import Accounting
from optimizer.gateway.service import RoutingService
from optimizer.policies.levers import ActiveLevers
from optimizer.shared.tasks import Background
from providers.batches.registry import batch_api_of
from providers.completion import Usage
from providers.pricing import PriceBook
from routing.adjustments.variants import without_tier
from routing.models import RoutingDecision

_BACKGROUND = Background()
# What the provider keeps for the request, or does while the client waits, is not for a batch.
_NOT_LATER = frozenset(
    {"previous_response_id", "conversation", "background", "thread", "container", "prompt"}
)
_MILLION = Usage(1_000_000, 1_000_000)
_BATCHED = replace(_MILLION, service_tier="batch")


@dataclass(frozen=True, slots=True)
class Deferral:
    """Accepts requests that may wait for hours."""

    routing: RoutingService
    accounting: Accounting
    levers: ActiveLevers
    prices: PriceBook
    providers: Mapping[str, Any]
    database: DatabaseThread
    check_webhook: Callable[[str], None]
    guarded: bool = False
    """Whether guard rails stand before each call: a batch would pass them by."""

    @property
    def options(self) -> LaneOptions:
        """Return the options of the lever as they are now."""
        return lane_options(self.levers.options(LEVER))

    async def offer(
        self, request: GatewayRequest, sent: SentRequest
    ) -> DeferredRequest | GatewayRequest:
        """Return the deferred request, or the request to answer at once, with its trial if any.

        Ask only for requests that accept a later answer. Raises what
        :meth:`optimizer.gateway.service.RoutingService.complete` raises before a call, and
        :class:`optimizer.shared.webhooks.WebhookRefused`.
        """
        if request.webhook:
            self.check_webhook(request.webhook)
        if self.levers.mode(LEVER) == "off" or not _NOT_LATER.isdisjoint(request.chat.native):
            return request
        analyzed = await self.routing.analyze(request)
        # No provider promises to keep the data of batches in a region.
        deadline = None if analyzed.request.chat.residency else analyzed.request.deadline
        if deadline is None or deadline < self.options.min_deadline:
            return request
        if await self.routing.has_cached(analyzed):
            return request
        decision, reservation = await self.routing.choose(analyzed)
        try:
            trial = None
            if self.is_cheaper(decision.provider, decision.model):
                trial = self.levers.draw(
                    LEVER, analyzed.request, expected=expected_cost(decision),
                    detail={"deadline": round(deadline)},
                )  # fmt: skip
            if trial is None or not trial.treated:
                if reservation is not None:
                    await reservation.release()
                return request if trial is None else replace(request, trials=(trial,))
            return await self._accept(with_trial(analyzed, trial), decision, sent)
        except Exception:
            if reservation is not None:
                await reservation.release()
            raise

    async def _accept(
        self, analyzed: AnalyzedRequest, decision: RoutingDecision, sent: SentRequest
    ) -> DeferredRequest:
        if analyzed.request.client.tokens_per_minute is not None:
            await self.accounting.reserve_tokens(analyzed)
        row = await self.row_of(analyzed, decision, sent)
        writing = _BACKGROUND.run(self.database.run(partial(deferred_accept, [row])))
        try:
            await asyncio.shield(writing)
        except asyncio.CancelledError:
            # The client has left and knows no id: nobody would come for the answer.
            _BACKGROUND.run(self._abandon(writing, row))
            raise
        return row

    async def _abandon(self, writing: asyncio.Task[None], row: DeferredRequest) -> None:
        await asyncio.wait({writing})
        state, words = DeferredRequest.State.CANCELLED, "The client left before it got the id."
        await self.database.run(
            partial(deferred_end, row.pk, state, "client_disconnected", words, 499)
        )

    async def row_of(
        self, analyzed: AnalyzedRequest, decision: RoutingDecision, sent: SentRequest
    ) -> DeferredRequest:
        """Return the row of a request that waits, as other levers change it for its model."""
        deadline = analyzed.request.deadline
        decision = without_tier(decision)
        # A slower tier is for calls of their own. In a batch, nobody answers what a model asks
        # for, so levers must know that the request is deferred.
        asked = analyzed.request
        alone = replace(asked, deadline=None, deferred=asked.request_id)
        prepared = await self.routing.prepare(replace(analyzed, request=alone), decision)
        request = replace(prepared.request, deadline=deadline, deferred=None)
        whole = replace(prepared, request=request)
        if request.chat.large:
            return await asyncio.to_thread(deferred_row, whole, decision, sent)
        return deferred_row(whole, decision, sent)

    def is_cheaper(self, provider: str, model: str) -> bool:
        """Return whether a batch with the model costs less than calls of their own."""
        if self.guarded or batch_api_of(self.providers.get(provider)) is None:
            return False
        alone = self.prices.cost(provider, model, _MILLION)
        batched = self.prices.cost(provider, model, _BATCHED)
        return alone is not None and batched is not None and batched < alone


def expected_cost(decision: RoutingDecision) -> Decimal | None:
    """Return what a call of its own is expected to cost in USD, ``None`` if unknown."""
    estimate = decision.metadata.get("cost_estimate")
    return None if estimate is None else Decimal(str(estimate))
