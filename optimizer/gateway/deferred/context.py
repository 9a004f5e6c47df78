"""What the parts of the lane share."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

from analytics.database.aside import DatabaseThread
from analytics.deferred.outcomes import DeferredOutcome
from analytics.deferred.requests import deferred_end
from analytics.models import DeferredRequest
from optimizer.domain.client import Client
from optimizer.domain.request import GatewayRequest
from optimizer.gateway.deferred.options import LaneOptions
from optimizer.gateway.deferred.restored import restored, restored_decision
from optimizer.gateway.recording.accounting import Accounting
from optimizer.gateway.service import RoutingService
from providers.batches.jobs import BatchApi
from providers.batches.registry import batch_api_of
from providers.completion import CompletionRequest
from providers.errors import OutsideResidency
from providers.http.wire import WireClient

logger = logging.getLogger(__name__)

Result = TypeVar("Result")
KEY_GONE = "api_key_revoked"


@dataclass(slots=True)
class LaneContext:
    """The services of the lane.

    ``client_of`` returns a key's client as it is now, ``lacks`` what a model lacks. ``worker``
    names this worker.
    """

    database: DatabaseThread
    routing: RoutingService
    accounting: Accounting
    providers: Mapping[str, Any]
    lacks: Callable[[str, str], frozenset[str]]
    client_of: Callable[[str], Client | None]
    options: Callable[[], LaneOptions]
    worker: str
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    leased_until: float = 0.0
    """Until when nobody else works on the lane, by ``time.monotonic``."""

    def leased(self) -> bool:
        """Return whether no other worker works on the lane now."""
        return time.monotonic() < self.leased_until

    async def do(self, step: Callable[..., Result], *args: Any, **named: Any) -> Result:
        """Return what a step on the database returns, once it is committed."""
        return await self.database.run(partial(step, *args, **named))

    def api(self, provider: str) -> BatchApi | None:
        """Return the batches of a provider, ``None`` if it has none or is not configured now."""
        return batch_api_of(self.providers.get(provider))

    def wire_request(
        self, provider: str, model: str, request: GatewayRequest
    ) -> tuple[WireClient, CompletionRequest]:
        """Return the provider, and a request as it gets it in a batch.

        Raises :class:`OutsideResidency` if its data must stay anywhere.
        """
        if request.chat.residency:
            raise OutsideResidency.of(provider, request.chat.residency)
        client = self.providers[provider]
        assert isinstance(client, WireClient)
        return client, CompletionRequest(model, request.chat, self.lacks(provider, model))

    async def fail(
        self, row: DeferredRequest, state: str, code: str, detail: str, status: int
    ) -> None:
        """Record, at no cost, that a request has ended without an answer."""
        client = self.client_of(row.api_key) or Client(
            key=row.api_key, tenant=row.tenant, user=row.user_id, project=row.project
        )
        try:
            analyzed = restored(row, client)
            decision = restored_decision(row) if row.decision else None
        except (ValueError, KeyError, TypeError) as error:
            # Such as one that was encrypted with a key that is not configured any more.
            logger.error("A deferred request cannot be read any more", exc_info=error)
            await self.do(deferred_end, row.pk, state, code, detail, status)
            return
        outcome = DeferredOutcome(
            row.pk, state, status_code=status, error_code=code, error_detail=detail
        )
        await self.accounting.record_failure(
            analyzed, decision, (), time.perf_counter(), detail, code=code, outcome=outcome
        )
