"""The composition root: builds the process's services from settings, once."""

from __future__ import annotations

import logging
import os
import threading
from concurrent.futures import ThreadPoolExecutor

from analytics.cache import CacheReader, semantic_entries
from optimizer.access.api_keys import ApiKeys
from optimizer.access.concurrency.limiter import ConcurrencyLimiter
from optimizer.budgets.brakes import RunawayPolicy, SessionBrakes
from optimizer.budgets.watchdog import HoldWatchdog
from optimizer.gateway.cache.lookup import AnswerCache
from optimizer.gateway.cache.semantic.cache import SemanticCache
from optimizer.gateway.cache.semantic.embedding import TextEmbedder, semantic_available
from optimizer.gateway.chat_requests import ChatRequestBuilder
from optimizer.gateway.keep_alive import CacheHabits, CacheKeeper
from optimizer.gateway.levers.cascade.lever import CascadeLever
from optimizer.gateway.levers.compression.lever import CompressionLever
from optimizer.gateway.levers.compression.memory import ConversationMemory
from optimizer.gateway.levers.plans import RequestLevers
from optimizer.gateway.levers.variants import FlexLever
from optimizer.gateway.provider_objects.compaction import OwnCalls
from optimizer.gateway.provider_objects.objects import ProviderObjects
from optimizer.gateway.provider_objects.stored_responses import StoredResponses
from optimizer.gateway.service import RoutingService
from optimizer.gateway.specialised.embeddings import EmbeddingService
from optimizer.gateway.specialised.service import SpecialisedService
from optimizer.gateway.streaming.shared_stream import StreamLimits
from optimizer.lab.connection_test import Connections
from optimizer.lab.past_requests import PastRequests
from optimizer.lab.past_ways import PastWays
from optimizer.lab.playground import Playground
from optimizer.lab.rule_preview import RulePreviews
from optimizer.lab.whatif.estimator import WhatIf
from optimizer.pricing.prices import PriceService
from optimizer.quality.evidence import Expectations
from optimizer.quality.session_moves import moves_judge
from optimizer.wiring.batch_lane import batch_lane
from optimizer.wiring.catalogue_preview import catalogue_preview
from optimizer.wiring.installation.deciding import build_deciding
from optimizer.wiring.installation.folders import begun_calls_folder
from optimizer.wiring.installation.judging import build_judging
from optimizer.wiring.installation.recording import build_recording
from optimizer.wiring.installation.refreshes import data_of_others
from optimizer.wiring.installation.tasks import periodic_tasks_of_installation
from optimizer.wiring.installation.upstream import build_upstream, connection_settings
from optimizer.wiring.levers import REQUEST_LEVERS, LeverTasks
from optimizer.wiring.periodic import PeriodicTask, PeriodicTasks
from optimizer.wiring.product_settings import product_settings
from optimizer.wiring.provider_objects import upkeep_of_objects
from optimizer.wiring.services import Services

logger = logging.getLogger(__name__)


class _Process:
    """Holds the services of this process, where requests find them."""

    services: Services | None = None
    lock = threading.Lock()


PROCESS = _Process()


def get_services() -> Services:
    """Return the process's services, built on first use."""
    if PROCESS.services is None:
        with PROCESS.lock:
            if PROCESS.services is None:
                PROCESS.services = build_services()
    return PROCESS.services


def forget_services() -> Services | None:
    """Detach the current services and return them; the caller stops them."""
    with PROCESS.lock:
        services, PROCESS.services = PROCESS.services, None
    return services


def semantic_cache() -> SemanticCache | None:
    """Return the semantic cache, ``None`` if it is off or its package is not installed."""
    product = product_settings()
    if not product.semantic_cache:
        return None
    if not semantic_available():
        logger.warning(
            "SEMANTIC_CACHE is on, but its package is not installed: "
            "pip install -r requirements/semantic.txt"
        )
        return None
    limit = product.semantic_cache_entries
    return SemanticCache(
        TextEmbedder(),
        lambda after: semantic_entries(after, limit=limit),
        threshold=product.semantic_cache_threshold,
        word_threshold=product.semantic_cache_word_threshold,
        limit=limit,
    )


def build_services() -> Services:
    """Wire everything together. Raises :class:`providers.catalogue.CatalogueError`."""
    product = product_settings()
    upstream = build_upstream(product)
    # The ledger's thread begins with the recording: settings that are refused come before it.
    deciding = build_deciding(product, upstream)
    recording = build_recording(product, upstream)
    catalogue, known, prices = upstream.catalogue, upstream.known, upstream.prices
    caller, names, operation = upstream.caller, upstream.names, upstream.operation
    ledger, objects, budgets = recording.ledger, recording.objects, recording.budgets
    accounting, baselines = recording.accounting, recording.baselines
    options, levers, ways = deciding.options, deciding.levers, deciding.ways
    price_service = PriceService(catalogue, prices, caller)
    cache = CacheReader() if product.response_cache else None
    semantic = semantic_cache() if cache else None
    api_keys = ApiKeys(product.auth)
    habits = CacheHabits()
    keep_alive = None
    if product.prompt_cache_keep_alive:
        keep_alive = CacheKeeper(habits, prices, objects, caller.wire_of, api_keys.still_serves)
    background = ThreadPoolExecutor(max_workers=1, thread_name_prefix="background")
    quality = build_judging(product, upstream, recording, deciding, background)
    conversations = ConversationMemory(objects)
    routing = RoutingService(
        engine=deciding.engine,
        options=options,
        caller=caller,
        accounting=accounting,
        cache=AnswerCache(cache, semantic, levers, known),
        levers=RequestLevers(
            levers,
            (*REQUEST_LEVERS, FlexLever(ways)),
            CompressionLever(levers, conversations, options.features),
        ),
        ways=ways,
        cascades=CascadeLever(levers, deciding.cascades, caller, prices, recording.limits),
        rules=deciding.rules,
        experiments=deciding.experiments,
        watchers=quality.judging.watchers,
        budgets=budgets,
        sessions=recording.sessions,
        output_lengths=deciding.output_lengths,
        speeds=deciding.speeds,
        stream_limits=StreamLimits(product.stream_seconds, product.stream_idle_seconds),
        most_abandoned=(product.max_concurrent_requests + 1) // 2,
        keep_alive=keep_alive,
        guard=upstream.guard,
    )
    quality.watch = routing.watch
    deferral, lane = batch_lane(
        product,
        routing=routing,
        accounting=accounting,
        levers=levers,
        prices=prices,
        caller=caller,
        api_keys=api_keys,
        database=objects,
        worker=budgets.worker,
        proofs=begun_calls_folder(),
        may_work=lambda: not ledger.journal_backlog,
    )
    past = PastRequests(
        deciding.engine,
        names,
        prices,
        deciding.speeds,
        deciding.output_lengths,
        PastWays(ways),
    )
    refreshes = {
        **data_of_others(upstream, recording, deciding, quality),
        "which conversations were shortened": conversations.refresh,
    }
    if keep_alive is not None:
        refreshes["how long sessions wait"] = habits.refresh
    if semantic is not None:
        refreshes["the semantic cache"] = semantic.refresh
    lever_tasks = LeverTasks(levers)
    return Services(
        catalogue=catalogue,
        prices=prices,
        price_service=price_service,
        baselines=baselines,
        registry=upstream.registry,
        caller=caller,
        circuits=upstream.circuits,
        keys=upstream.keys,
        members=upstream.members,
        operation=operation,
        quality=quality,
        evidence=deciding.evidence,
        expectations=Expectations(known, deciding.predictor, upstream.abilities),
        options=options,
        engine=deciding.engine,
        ledger=ledger,
        cache=cache,
        routing=routing,
        semantic=semantic,
        rules=deciding.rules,
        experiments=deciding.experiments,
        levers=levers,
        guarantee=deciding.guarantee,
        rule_previews=RulePreviews(past),
        what_if=WhatIf(past, deciding.rules, caller.wire_of),
        names=names,
        limits=recording.limits,
        concurrency=ConcurrencyLimiter(
            product.max_concurrent_requests,
            product.queue_seconds,
            product.shared_store,
            product.tenant_weights,
        ),
        api_keys=api_keys,
        budgets=budgets,
        brakes=SessionBrakes(
            RunawayPolicy(product.runaway, product.runaway_rounds, product.runaway_cost), ledger
        ),
        watchdog=HoldWatchdog(budgets, ledger, begun_calls_folder()),
        chat_requests=ChatRequestBuilder(
            names,
            caller,
            hottest=product.cache_max_temperature if cache else None,
            semantic=semantic is not None,
            agents_without_vendor=product.agent_models == "auto",
            cheap_side_requests=product.session_routing,
            for_an_hour=habits.for_an_hour,
            levers=levers,
        ),
        refusals=recording.refusals,
        feed=recording.feed,
        meter=recording.meter,
        telemetry=recording.telemetry,
        playground=Playground(
            routing,
            names,
            catalogue_preview(
                catalogue,
                prices,
                known,
                accounting,
                deciding.evidence,
                deciding.predictor,
                upstream.abilities,
            ),
            configured=lambda: any(name != "local" for name in upstream.registry.providers),
        ),
        connections=Connections(catalogue, os.environ, caller, options, routing),
        embedding=EmbeddingService(names, caller, accounting, budgets, deciding.rules),
        specialised=SpecialisedService(names, caller, accounting, budgets, prices, deciding.rules),
        provider_objects=ProviderObjects(objects, recording.settlement, budgets, known),
        stored_responses=StoredResponses(
            objects, on=product.store_prompts == "full", mask=recording.mask
        ),
        own_calls=OwnCalls(caller, accounting, budgets, known, deciding.rules),
        object_database=objects,
        keep_alive=keep_alive,
        deferral=deferral,
        batch_lane=lane,
        background=background,
        refreshes=PeriodicTasks(
            [PeriodicTask(f"Reading {source}", 0, read) for source, read in refreshes.items()]
        ),
        periodic_tasks=periodic_tasks_of_installation(
            price_service.note,
            upkeep_of_objects(
                catalogue,
                prices,
                known,
                connection_settings(product),
                recording.anywhere,
                operation.running_environment,
            ),
            moves_judge(prices),
            quality.run_autopilot,
            lever_tasks.stop_harmful,
            lever_tasks.measure,
            upstream.circuit_states,
            quality.guarantee_now,
        ),
    )
