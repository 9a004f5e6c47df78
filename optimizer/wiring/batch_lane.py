"""Builds the batch lane, and what accepts requests for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

from analytics.database.aside import DatabaseThread
from optimizer.access.api_keys import ApiKeys
from optimizer.gateway.deferred.acceptance import Deferral
from optimizer.gateway.deferred.admission import ClientBatches
from optimizer.gateway.deferred.calling import DirectCalls
from optimizer.gateway.deferred.context import LaneContext
from optimizer.gateway.deferred.lane import BatchLane
from optimizer.gateway.deferred.webhooks import Webhooks
from optimizer.gateway.recording.accounting import Accounting
from optimizer.gateway.service import RoutingService
from optimizer.policies.levers import ActiveLevers
from optimizer.wiring.product_settings import ProductSettings
from providers.pricing import PriceBook
from providers.resilience import ResilientCaller


def batch_lane(
    product: ProductSettings,
    *,
    routing: RoutingService,
    accounting: Accounting,
    levers: ActiveLevers,
    prices: PriceBook,
    caller: ResilientCaller,
    api_keys: ApiKeys,
    database: DatabaseThread,
    worker: str,
    proofs: Path,
    may_work: Callable[[], bool],
) -> tuple[Deferral, BatchLane]:
    """Return what accepts requests that may wait, and the lane that answers them.

    ``worker`` names this worker, whose proofs are in the folder ``proofs``. Raises
    ``ImproperlyConfigured`` if webhooks have hosts but no secret.
    """
    if product.webhook_hosts and not product.webhook_secret:
        raise ImproperlyConfigured("WEBHOOK_HOSTS is set, but WEBHOOK_SECRET is not")
    try:
        webhooks = Webhooks(product.webhook_hosts, product.webhook_secret)
    except ValueError as error:
        raise ImproperlyConfigured(f"WEBHOOK_HOSTS has an entry that is no host: {error}") from None
    deferral = Deferral(
        routing, accounting, levers, prices, caller.providers, database, webhooks.check,
        guarded=caller.guard is not None,
    )  # fmt: skip
    context = LaneContext(
        database, routing, accounting, caller.providers, caller.lacks, api_keys.client_of,
        lambda: deferral.options, worker,
    )  # fmt: skip
    batches = ClientBatches(context, deferral)
    lane = BatchLane(context, DirectCalls(context, proofs), webhooks, batches.look, may_work)
    return deferral, lane
