"""Takes up clients' batches that this service answers itself, over whatever providers."""

from __future__ import annotations

import json
import logging
import time
from dataclasses import replace

from analytics.deferred.client_batches import (
    client_batches_finish,
    request_admit,
    requests_to_admit,
)
from analytics.models import DeferredRequest
from optimizer.domain.result import BudgetExceeded, RoutingUnavailable, UnknownInputRefused
from optimizer.gateway.deferred.acceptance import Deferral, expected_cost
from optimizer.gateway.deferred.context import KEY_GONE, LaneContext
from optimizer.gateway.deferred.restored import LEVER, SentRequest, restored
from optimizer.gateway.levers.plans import with_trial
from routing.models import NoEligibleModel

logger = logging.getLogger(__name__)

State = DeferredRequest.State
_TOGETHER = 200
_LONGEST_SECONDS = 20.0


class ClientBatches:
    """Chooses a model for each request of a client's batch and holds its money, one by one."""

    def __init__(self, context: LaneContext, deferral: Deferral) -> None:
        self._context = context
        self._deferral = deferral

    async def look(self) -> None:
        """Admit requests for a while, and end the batches whose requests have all ended."""
        context, until = self._context, time.monotonic() + _LONGEST_SECONDS
        while time.monotonic() < until and context.leased():
            rows = await context.do(requests_to_admit, _TOGETHER)
            for row in rows:
                await self._admit_or_fail(row)
            if len(rows) < _TOGETHER:
                break
        await context.do(client_batches_finish)

    async def _admit_or_fail(self, row: DeferredRequest) -> None:
        context = self._context
        try:
            await self._admit(row)
        except BudgetExceeded as error:
            await context.fail(row, State.FAILED, "budget_exceeded", str(error), 429)
        except (NoEligibleModel, UnknownInputRefused) as error:
            await context.fail(row, State.FAILED, "unsupported_feature", str(error), 400)
        except RoutingUnavailable as error:
            await context.fail(row, State.FAILED, "routing_unavailable", str(error), 503)
        except (ValueError, KeyError, TypeError) as error:
            # It cannot be read or stored, and must not keep those behind it from being admitted.
            kind = type(error).__name__
            logger.error("A request of a client's batch cannot be admitted (%s)", kind)
            await context.fail(row, State.FAILED, "internal_error", kind, 500)

    async def _admit(self, row: DeferredRequest) -> None:
        context, deferral = self._context, self._deferral
        client = context.client_of(row.api_key)
        if client is None:
            words = "The API key of the batch is not valid any more."
            await context.fail(row, State.FAILED, KEY_GONE, words, 401)
            return
        analyzed = await context.routing.analyze(restored(row, client).request)
        decision, reservation = await context.routing.choose(analyzed)
        direct = not deferral.is_cheaper(decision.provider, decision.model)
        direct = direct or bool(analyzed.request.chat.residency)
        if not direct:
            trial = deferral.levers.draw(
                LEVER, analyzed.request, expected=expected_cost(decision),
                detail={"deadline": round(analyzed.request.deadline or 0)},
            )  # fmt: skip
            if trial is not None:
                analyzed, direct = with_trial(analyzed, trial), not trial.treated
        stored = json.loads(row.request)
        sent = SentRequest(row.path, stored["data"], stored["headers"])
        full = replace(analyzed, request=replace(analyzed.request, deferred=None))
        made = await deferral.row_of(full, decision, sent)
        values = {
            "provider": made.provider, "model": made.model, "group": made.group,
            "request": made.request, "decision": made.decision, "direct": direct,
        }  # fmt: skip
        if not await context.do(request_admit, row.pk, values) and reservation is not None:
            await reservation.release()
