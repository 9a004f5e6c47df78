"""The services of a process: started with the server, and stopped in order when it ends."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from django.db import connections

from analytics.cache import CacheReader
from analytics.database.aside import DatabaseThread
from analytics.ledger.ledger import Ledger
from analytics.ledger.recovery import RecoveryProbe
from analytics.ledger.write_health import write_probe
from analytics.reports.compared import ComparedWith
from optimizer.access.api_keys import ApiKeys
from optimizer.access.concurrency.limiter import ConcurrencyLimiter
from optimizer.access.rate_limits import RateLimits
from optimizer.budgets.brakes import SessionBrakes
from optimizer.budgets.reservations import Budgets
from optimizer.budgets.watchdog import HoldWatchdog
from optimizer.domain.model_names import ModelNames
from optimizer.gateway.cache.semantic.cache import SemanticCache
from optimizer.gateway.chat_requests import ChatRequestBuilder
from optimizer.gateway.deferred.acceptance import Deferral
from optimizer.gateway.deferred.lane import BatchLane
from optimizer.gateway.keep_alive import CacheKeeper
from optimizer.gateway.model_options import AvailableModels
from optimizer.gateway.provider_objects.compaction import OwnCalls
from optimizer.gateway.provider_objects.objects import ProviderObjects
from optimizer.gateway.provider_objects.stored_responses import StoredResponses
from optimizer.gateway.recording.refusals import Refusals
from optimizer.gateway.service import RoutingService
from optimizer.gateway.specialised.embeddings import EmbeddingService
from optimizer.gateway.specialised.service import SpecialisedService
from optimizer.lab.connection_test import Connections
from optimizer.lab.playground import Playground
from optimizer.lab.rule_preview import RulePreviews
from optimizer.lab.whatif.estimator import WhatIf
from optimizer.monitoring.live.feed import Feed
from optimizer.monitoring.otlp import Telemetry
from optimizer.monitoring.prometheus import Meter
from optimizer.policies.experiments import Experiments
from optimizer.policies.levers import ActiveLevers
from optimizer.policies.rules import ActiveRules
from optimizer.pricing.baseline_choice import BaselineChoice
from optimizer.pricing.baselines import Baselines
from optimizer.pricing.prices import PriceService
from optimizer.quality.evidence import EvidenceTable, Expectations
from optimizer.quality.guarantee import GuaranteeInForce
from optimizer.shared.circuits import SharedCircuits
from optimizer.shared.pools.members import SharedMembers
from optimizer.shared.spared_keys import SharedKeys
from optimizer.wiring.fast_refresh import FastRefresher
from optimizer.wiring.operation.providers import ActiveProviders
from optimizer.wiring.operation.quality import ActiveQuality
from optimizer.wiring.periodic import PeriodicTask, PeriodicTasks
from optimizer.wiring.product_settings import ProductSettings, product_settings
from providers.catalogue import Catalogue
from providers.errors import ProviderError
from providers.local.client import LocalProvider
from providers.pricing import PriceBook
from providers.registry import ProviderRegistry
from providers.resilience import ResilientCaller
from routing.engine import RoutingEngine

logger = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Services:
    """Every object that lives as long as the process."""

    catalogue: Catalogue
    prices: PriceBook
    price_service: PriceService
    baselines: BaselineChoice
    registry: ProviderRegistry
    caller: ResilientCaller
    circuits: SharedCircuits
    keys: SharedKeys
    members: SharedMembers
    operation: ActiveProviders
    quality: ActiveQuality
    evidence: EvidenceTable
    expectations: Expectations
    options: AvailableModels
    engine: RoutingEngine
    ledger: Ledger
    cache: CacheReader | None
    routing: RoutingService
    semantic: SemanticCache | None
    rules: ActiveRules
    experiments: Experiments
    levers: ActiveLevers
    guarantee: GuaranteeInForce
    rule_previews: RulePreviews
    what_if: WhatIf
    names: ModelNames
    api_keys: ApiKeys
    budgets: Budgets
    brakes: SessionBrakes
    watchdog: HoldWatchdog
    limits: RateLimits
    concurrency: ConcurrencyLimiter
    chat_requests: ChatRequestBuilder
    playground: Playground
    connections: Connections
    refusals: Refusals
    feed: Feed
    meter: Meter
    telemetry: Telemetry
    embedding: EmbeddingService
    specialised: SpecialisedService
    provider_objects: ProviderObjects
    stored_responses: StoredResponses
    own_calls: OwnCalls
    object_database: DatabaseThread
    keep_alive: CacheKeeper | None
    deferral: Deferral
    batch_lane: BatchLane
    background: ThreadPoolExecutor
    refreshes: PeriodicTasks
    periodic_tasks: PeriodicTasks
    ending: bool = False
    """Whether the server is shutting down: it answers requests in progress, and no new ones."""
    _fast_refresher: FastRefresher | None = None
    _recovery: RecoveryProbe | None = None
    _upkeep: Sequence[asyncio.Task[None]] = ()
    _watching: asyncio.Task[None] | None = None

    def compared_with(self, name: str) -> ComparedWith:
        """Return the baseline of this name. Raises :class:`UnknownBaseline`."""
        return Baselines(self.names, self.prices, self.baselines).named(name)

    async def start(self) -> None:
        """Start the background tasks, read what other workers have stored, load the local model.

        Raises ``RuntimeError`` if already started: the first threads could not be ended anymore.
        """
        if self._fast_refresher is not None:
            raise RuntimeError("The services are running already.")
        self.circuits.begin()
        self.keys.begin()
        self.members.begin()
        self.registry.begin()
        await asyncio.to_thread(self.ledger.health.begin)
        readers = [self.cache.database] if self.cache is not None else []
        self._recovery = RecoveryProbe([self.ledger.database, *readers], write_probe)
        self._recovery.begin()
        self._fast_refresher = fast_refresher(
            self.api_keys,
            self.budgets,
            self.watchdog,
            self.price_service,
            self.refusals,
            self.brakes,
            self.levers,
            self.operation,
            self.quality,
            self.rules,
        )
        await asyncio.to_thread(self._fast_refresher.begin)
        await self.in_background(self.refreshes.run_due)
        product = product_settings()
        self._upkeep = [
            asyncio.create_task(work) for work in (self._keep_up(product), self._catch_up())
        ]
        if self.keep_alive is not None:
            keeping = self.keep_alive.run(self.routing.complete)
            self._upkeep = [*self._upkeep, asyncio.create_task(keeping)]
        self._upkeep = [*self._upkeep, asyncio.create_task(self.batch_lane.run())]
        self._watching = asyncio.create_task(self._watch_itself())
        local = self.registry.providers.get("local")
        if isinstance(local, LocalProvider):
            try:
                await local.warm_up()
            except ProviderError as error:
                logger.warning("%s", error)

    async def _keep_up(self, product: ProductSettings) -> None:
        """Read regularly what has changed, such as the feedback that other workers received."""
        while True:
            await asyncio.sleep(product.evidence_refresh_seconds)
            await self.in_background(self.refreshes.run_due)
            if not product.celery_broker_url:
                await self.in_background(self.periodic_tasks.run_due)

    async def _catch_up(self) -> None:
        """Write records from the journal to the database, even if no new requests arrive."""
        while True:
            await asyncio.sleep(1)
            await self.ledger.catch_up()

    async def _watch_itself(self) -> None:
        """End stuck waits for the database, until the worker ends.

        This is a task of its own, as the other tasks may themselves wait for the database.
        """
        while True:
            await asyncio.sleep(1)
            self.meter.count_tasks(len(asyncio.all_tasks()))
            self.meter.flush()
            self.ledger.abort_stuck_wait()
            self.ledger.health.decide()
            if self.cache is not None:
                self.cache.abort_stuck_wait()
            if self._recovery is not None:
                self._recovery.abort_stuck_wait()

    async def in_background(self, work: object, *args: object) -> object:
        """Run ``work`` on the background thread, off the event loop."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.background, work, *args)  # type: ignore[arg-type]

    async def stop(self) -> None:
        """Finish and record the requests in progress, then release everything."""
        for task in self._upkeep:
            task.cancel()
        await self.batch_lane.stop()
        await self.routing.drain()
        await self.provider_objects.settlement.drain()
        await self.refusals.drain()
        await self.embedding.drain()
        await self.specialised.drain()
        await self.own_calls.drain()
        await self.registry.aclose()
        await self.circuits.aclose()
        await self.keys.aclose()
        await self.members.aclose()
        await self.feed.aclose()
        await self.limits.aclose()
        await self.concurrency.aclose()
        await asyncio.to_thread(self.close)
        if self._watching is not None:
            self._watching.cancel()

    def close(self) -> None:
        """Flush the ledger and end the threads."""
        if self._fast_refresher is not None:
            self._fast_refresher.close()
        if self._recovery is not None:
            self._recovery.close()
        self.ledger.health.close()
        self.ledger.close()
        self.budgets.begun.close()
        self.object_database.close()
        self.telemetry.close()
        if self.cache is not None:
            self.cache.close()
        self.background.submit(connections.close_all)
        self.background.shutdown(wait=True)
        # The background thread may have recorded batches until now.
        self.meter.flush()


def fast_refresher(
    api_keys: ApiKeys,
    budgets: Budgets,
    watchdog: HoldWatchdog,
    prices: PriceService,
    refusals: Refusals,
    brakes: SessionBrakes,
    levers: ActiveLevers,
    operation: ActiveProviders,
    quality: ActiveQuality,
    rules: ActiveRules,
) -> FastRefresher:
    """Return the refresher of data that must be up to date at once, such as revoked keys."""
    return FastRefresher(
        [
            PeriodicTask("Reading the API keys", 0, api_keys.refresh),
            PeriodicTask("Reading the budgets", 0, budgets.refresh),
            PeriodicTask("Reading the brakes on sessions", 0, brakes.refresh),
            PeriodicTask("Looking for agents that run away", 5, brakes.refresh_runaways),
            PeriodicTask("Reading the prices set here", 0, prices.refresh),
            PeriodicTask("Reading the levers", 0, levers.refresh),
            PeriodicTask("Reading the providers and models set here", 0, operation.refresh),
            PeriodicTask("Reading judge, guarantee and baseline", 0, quality.refresh),
            PeriodicTask("Reading the rules", 0, rules.refresh),
            PeriodicTask("Reporting that this worker is alive", 5, budgets.write_heartbeat),
            PeriodicTask("Settling what nobody owns", 2, watchdog.look),
            PeriodicTask("Counting refused requests", 10, refusals.write_counts),
        ],
        [
            PeriodicTask("Storing when keys were used", 0, api_keys.write_usage),
            PeriodicTask("Counting refused requests", 0, refusals.write_counts),
        ],
    )
