"""Money held for batches: from before they are created until their cost is recorded."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import Any

from analytics.budgets.claims import Charge, Claim
from analytics.budgets.holding import hold, release
from analytics.budgets.workers import BATCHES
from analytics.database.aside import DatabaseThread
from analytics.models import RequestRecord
from optimizer.budgets.reservations import Budgets
from optimizer.domain.client import Client
from optimizer.domain.identifiers import new_request_id
from optimizer.domain.result import NotAllowed
from optimizer.gateway.provider_objects.batch_bounds import BatchBound, UnboundedBatch
from providers.http.side_calls import SideCall
from providers.http.wire import WireClient

logger = logging.getLogger(__name__)


class BatchHolds:
    """Holds what batches may cost. A batch outlives the worker that created it."""

    def __init__(self, database: DatabaseThread, budgets: Budgets) -> None:
        self._database = database
        self._budgets = budgets

    async def hold(
        self,
        provider: WireClient,
        requests: Sequence[Mapping[str, Any]],
        file_id: str,
        client: Client,
        *,
        endpoint: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> uuid.UUID | None:
        """Hold the most that a batch may cost; return the id of the hold, ``None`` without one.

        Its requests are ``requests`` in Anthropic's format, or those of the file, all of which
        are for ``endpoint``. ``headers`` are those of the client, in small letters. Raises
        :class:`optimizer.domain.result.BudgetExceeded`,
        :class:`optimizer.domain.result.NotAllowed`,
        :class:`optimizer.domain.result.UnknownInputRefused` and
        :class:`providers.errors.ProviderError`.
        """
        payer = self._budgets.payer_of_client(client)
        if not self._budgets.concern_payer(payer):
            return None
        worst = partial(self._budgets.most_in_batch, provider.name)
        bound = BatchBound(worst, endpoint, headers or {})
        try:
            for body in requests:
                bound.add("anthropic", body)
            if file_id:
                await self._read_file(provider, file_id, bound)
        except UnboundedBatch as error:
            raise NotAllowed(str(error)) from None
        total = sum(bound.by_model.values(), Decimal(0))
        if not total:
            return None
        models = list(bound.by_model)
        claim = Claim(
            new_request_id(),
            datetime.now(UTC),
            payer,
            tuple(Charge(provider.name, model, cost) for model, cost in bound.by_model.items()),
            f"{provider.name}/{models[0] if len(models) == 1 else ''}",
            BATCHES,
            first=True,
            endpoint=RequestRecord.Endpoint.BATCHES,
            tokens_in=min(bound.tokens_in, _MOST_TOKENS),
            tokens_out=min(bound.tokens_out, _MOST_TOKENS),
        )
        (refusals,) = await self._database.run(partial(hold, [claim]))
        if refusals:
            raise self._budgets.exceeded(refusals, claim.request_id, total)
        return claim.request_id

    async def release(self, held: uuid.UUID | None) -> None:
        """Give back what is held for a batch that was not created."""
        if held is not None:
            await self._database.run(partial(release, [held]))

    async def _read_file(self, provider: WireClient, file_id: str, bound: BatchBound) -> None:
        answer = await provider.pass_on(SideCall("GET", f"/files/{file_id}/content"))
        if answer.status != 200:
            await answer.aclose()
            raise UnboundedBatch(
                "A budget applies, and the input file of the batch cannot be read: "
                f"{provider.name} answered with HTTP {answer.status}."
            )
        await bound.read(answer.chunks())


# The columns of the ledger hold 31 bits.
_MOST_TOKENS = 2_000_000_000
