"""The composition root: builds the process's services from settings, once."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path

from analytics.alerts.digest_issues import digests_issue
from analytics.budgets.marking import budgets_mark
from analytics.cache import CacheReader, semantic_entries
from analytics.database.aside import DatabaseThread
from analytics.experiments import stop_on_harm
from analytics.ledger.journal import Journal
from analytics.ledger.ledger import Ledger
from analytics.ledger.lost_calls import lost_calls_settle
from analytics.ledger.rollups import totals_update
from analytics.privacy.masking import load_mask
from analytics.proof.day_roots import days_close
from analytics.rules import rules_load, rules_version
from analytics.shortened import shortened_expire
from optimizer.access.api_keys import ApiKeys
from optimizer.access.concurrency.limiter import ConcurrencyLimiter
from optimizer.access.rate_limits import RateLimits
from optimizer.budgets.brakes import RunawayPolicy, SessionBrakes
from optimizer.budgets.reservations import Budgets
from optimizer.budgets.watchdog import HoldWatchdog
from optimizer.domain.model_names import ModelNames
from optimizer.gateway.cache.lookup import AnswerCache
from optimizer.gateway.cache.semantic.cache import SemanticCache
from optimizer.gateway.cache.semantic.embedding import TextEmbedder, semantic_available
from optimizer.gateway.chat_requests import ChatRequestBuilder
from optimizer.gateway.embeddings import EmbeddingService
from optimizer.gateway.follow_ups import Watchers
from optimizer.gateway.guardrails.configured import GuardSettings, configured_guard
from optimizer.gateway.keep_alive import CacheHabits, CacheKeeper
from optimizer.gateway.learned.answer_speeds import LearnedSpeeds
from optimizer.gateway.learned.output_lengths import OutputLengths
from optimizer.gateway.levers.cascade.lever import CascadeLever
from optimizer.gateway.levers.cascade.outcomes import CascadeOutcomes
from optimizer.gateway.levers.cascade.plan import CascadePlanner
from optimizer.gateway.levers.compression.lever import CompressionLever
from optimizer.gateway.levers.compression.memory import ConversationMemory
from optimizer.gateway.levers.plans import RequestLevers
from optimizer.gateway.levers.variants import FlexLever
from optimizer.gateway.levers.ways import LeverWays
from optimizer.gateway.model_options import AvailableModels
from optimizer.gateway.provider_objects.compaction import OwnCalls
from optimizer.gateway.provider_objects.objects import ProviderObjects
from optimizer.gateway.provider_objects.settlement import Settlement
from optimizer.gateway.provider_objects.stored_responses import StoredResponses
from optimizer.gateway.recording.accounting import Accounting
from optimizer.gateway.recording.ledger_entries import LedgerEntryBuilder, StoragePolicy
from optimizer.gateway.recording.refusals import Refusals
from optimizer.gateway.service import RoutingService
from optimizer.gateway.session_states import SessionStates
from optimizer.gateway.specialised import SpecialisedService
from optimizer.gateway.streaming.shared_stream import StreamLimits
from optimizer.lab.connection_test import Connections
from optimizer.lab.past_requests import PastRequests
from optimizer.lab.past_ways import PastWays
from optimizer.lab.playground import Playground
from optimizer.lab.rule_preview import RulePreviews
from optimizer.lab.whatif.estimator import WhatIf
from optimizer.monitoring.alerts import limits_watch
from optimizer.monitoring.live.feed import Feed
from optimizer.monitoring.notifications import notifications_send
from optimizer.monitoring.otlp import configured_telemetry
from optimizer.monitoring.prometheus import Meter
from optimizer.policies.experiments import Experiments, running_experiment
from optimizer.policies.rules import ActiveRules
from optimizer.pricing.prices import PriceService
from optimizer.quality.evidence import Expectations
from optimizer.quality.guarantee import ActiveGuarantee, GuaranteeInForce
from optimizer.quality.session_moves import moves_judge
from optimizer.shared.circuits import SharedCircuits
from optimizer.shared.pool_members import SharedMembers
from optimizer.shared.spared_keys import SharedKeys
from optimizer.wiring.autopilot import configured_autopilot
from optimizer.wiring.batch_lane import batch_lane
from optimizer.wiring.catalogue_preview import catalogue_preview
from optimizer.wiring.levers import (
    REQUEST_LEVERS,
    LeverTasks,
    active_levers,
    cascade_command,
)
from optimizer.wiring.operation.catalogue_models import ActiveCatalogue
from optimizer.wiring.operation.providers import ActiveProviders
from optimizer.wiring.operation.quality import ActiveQuality, JudgingInForce, Models
from optimizer.wiring.periodic import PeriodicTask, PeriodicTasks
from optimizer.wiring.product_settings import ProductSettings, product_settings
from optimizer.wiring.provider_objects import upkeep_of_objects
from optimizer.wiring.quality import (
    configured_baseline,
    configured_guarantee,
    configured_judge,
    configured_judging,
    configured_lever_pairs,
    configured_shadow,
)
from optimizer.wiring.routing import (
    installed_predictor,
    learned_evidence,
    routing_abilities,
    routing_engine,
)
from optimizer.wiring.services import Services
from providers.catalogue import Catalogue, load_catalogue
from providers.clouds.placement import placed
from providers.http.transport import ConnectionSettings
from providers.known_models import KnownModels
from providers.local.client import local_available
from providers.pricing import PriceBook
from providers.registry import ProviderRegistry, configured_names, with_pools
from providers.resilience import ResiliencePolicy, ResilientCaller
from providers.silence import Silence
from providers.tier_attempts import TierLimits
from providers.token_density import TokenDensity
from routing.adjustments.guarantee import Guarantee

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


def journal() -> Journal:
    """Return the journal: where ledger entries wait while the database is unavailable."""
    return Journal(product_settings().data_dir / "ledger-journal")


def begun_calls_folder() -> Path:
    """Return the folder in which workers prove which calls they began."""
    return product_settings().data_dir / "begun-calls"


def local_enabled(catalogue: Catalogue, environment: Mapping[str, str] = os.environ) -> bool:
    """Return whether the embedded model is used, with the keys that ``environment`` has.

    By default it is used only outside production and while no provider has a key: it exists
    so that the first request works, not to replace a real model.
    """
    product = product_settings()
    if product.local_provider == "off":
        return False
    configured = configured_names(catalogue, environment)
    if product.local_provider == "auto" and (product.production or configured):
        return False
    if not local_available():
        logger.warning("LOCAL_PROVIDER is on, but llama.cpp or its weights are not installed")
        return False
    return True


def installed_catalogue() -> Catalogue:
    """Return the catalogue, in which the operator's file overrides the shipped entries.

    Raises :class:`providers.catalogue.CatalogueError`.
    """
    product = product_settings()
    path = Path(product.catalogue_file) if product.catalogue_file else None
    return with_pools(placed(load_catalogue(path), os.environ))


def storage_policy() -> StoragePolicy:
    """Return what to store of prompts and answers, as the settings say."""
    product = product_settings()
    return StoragePolicy(product.store_prompts, product.response_cache_seconds)


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


def sum_some_hours() -> None:
    """Sum up to eight steps of hourly totals.

    After an upgrade there may be years of hours to sum, and other work must not wait for all.
    """
    for _ in islice(totals_update(), 8):
        pass


def periodic_tasks_of_installation(
    note_prices: Callable[[], object],
    check_objects: Callable[[], object] = lambda: None,
    judge_moves: Callable[[], object] = lambda: None,
    run_autopilot: Callable[[], object] = lambda: None,
    stop_harmful_levers: Callable[[], object] = lambda: None,
    measure_levers: Callable[[], object] = lambda: None,
    circuits: Callable[[], Mapping[str, str]] = dict,
    guarantee: Callable[[], Guarantee | None] = lambda: None,
) -> PeriodicTasks:
    """Return the tasks that one process at a time runs for the whole installation.

    ``circuits`` gives the states of the providers' circuits, ``guarantee`` the one in force.
    """
    return PeriodicTasks(
        [
            PeriodicTask("Summing the hours", 60, sum_some_hours),
            PeriodicTask("Looking for harm in experiments", 60, stop_on_harm),
            PeriodicTask("Watching limits", 60, lambda: limits_watch(circuits(), guarantee())),
            PeriodicTask("Making digests", 60, digests_issue),
            PeriodicTask("Sending notifications", 30, notifications_send),
            PeriodicTask("Marking how budgets are used up", 60, budgets_mark),
            PeriodicTask("Writing down changed prices", 600, note_prices),
            PeriodicTask("Signing the roots of days", 600, days_close),
            PeriodicTask("Forgetting how old conversations were sent", 600, shortened_expire),
            PeriodicTask(
                "Settling what dead workers held",
                10,
                lambda: lost_calls_settle(begun_calls_folder(), journal()),
            ),
            PeriodicTask("Recording batches that have ended", 60, check_objects),
            PeriodicTask("Judging sessions that were moved up", 60, judge_moves),
            PeriodicTask("Running the autopilot", 60, run_autopilot),
            PeriodicTask("Looking for harm in levers", 60, stop_harmful_levers),
            PeriodicTask("Measuring what levers saved", 3600, measure_levers),
        ]
    )


def _connection_settings(product: ProductSettings) -> ConnectionSettings:
    """Return the limits of connections; the read time-out that is set holds for all answers."""
    limits = ConnectionSettings(
        connect_timeout=product.provider_connect_timeout,
        # A whole answer is silent while the model writes, so it gets the request's time.
        read_timeout=product.request_deadline,
        max_connections=product.provider_max_connections or 0,
    )
    read = product.provider_read_timeout
    return limits if read is None else replace(limits, read_timeout=read, stream_read_timeout=read)


def _runaway_policy(product: ProductSettings) -> RunawayPolicy:
    return RunawayPolicy(product.runaway, product.runaway_rounds, product.runaway_cost)


def _guard_settings(product: ProductSettings) -> GuardSettings:
    return GuardSettings(
        rails=product.guardrails,
        fail_open=product.guardrails_open,
        personal_data=product.guardrail_personal_data,
        restore=product.guardrail_restore,
        moderation_model=product.guardrail_moderation_model,
        moderation_thresholds=product.guardrail_moderation_thresholds,
        moderation_stages=product.guardrail_moderation_stages,
        moderation_streams=product.guardrail_moderation_streams,
        moderation_seconds=product.guardrail_moderation_seconds,
        deadline=product.request_deadline,
    )


def build_services() -> Services:
    """Wire everything together. Raises :class:`providers.catalogue.CatalogueError`."""
    product = product_settings()
    catalogue = installed_catalogue()
    known = KnownModels(catalogue)
    prices = PriceBook(catalogue, known)
    registry = ProviderRegistry(
        catalogue,
        os.environ,
        _connection_settings(product),
        local=local_enabled(catalogue),
    )
    caller = ResilientCaller(
        registry.providers,
        ResiliencePolicy(
            retries=product.provider_retries,
            max_calls=product.max_upstream_calls,
            breaker_failures=product.breaker_failures,
            breaker_window=product.breaker_window,
            breaker_seconds=product.breaker_seconds,
            deadline=product.request_deadline,
        ),
        known.lacks,
        pools=registry.pools,
        regions=registry.regions,
        # One provider that hangs leaves half of the places to the others.
        silence=Silence(product.max_concurrent_requests // 2),
        tiers=TierLimits(silence=Silence(product.max_concurrent_requests // 2)),
    )
    caller.guard = configured_guard(_guard_settings(product), caller)
    circuits = SharedCircuits(caller.circuits, registry.providers, product.shared_store)
    keys = SharedKeys(registry.key_pools(), product.shared_store)
    members = SharedMembers(registry.pools, product.shared_store)
    abilities = routing_abilities()
    names = ModelNames(catalogue, caller, known, pass_unknown=product.unknown_models == "pass")
    operation = ActiveProviders(
        catalogue,
        os.environ,
        registry,
        caller,
        keys,
        members,
        partial(local_enabled, catalogue),
        ActiveCatalogue(
            catalogue,
            (known.rebuild, names.rebuild, prices.forget, caller.count_change),
            abilities,
        ),
    )
    price_service = PriceService(catalogue, prices, caller)
    predictor = installed_predictor()
    evidence = learned_evidence(predictor)
    options = AvailableModels(catalogue, prices, caller, known, abilities)
    guarantee = GuaranteeInForce(configured_guarantee(product, names, caller))
    baselines = configured_baseline(product, names, catalogue, caller, prices)
    engine = routing_engine(options, evidence, predictor, guarantee)
    mask = load_mask(product.masking)
    ledger = Ledger(journal(), mask)
    caller.may_call = ledger.health.check
    objects = DatabaseThread("object-store")
    cache = CacheReader() if product.response_cache else None
    semantic = semantic_cache() if cache else None
    limits = RateLimits(product.shared_store, product.manage_requests_per_minute)
    refuse_unknown = product.budget_unknown_input == "refuse"
    calls = begun_calls_folder()
    density = TokenDensity()
    budgets = Budgets(
        ledger, prices, calls=calls, refuse_unknown_input=refuse_unknown, density=density
    )
    feed = Feed(product.shared_store)

    def circuits_of_providers() -> dict[str, str]:
        return {name: caller.circuit_state(name) for name in registry.providers}

    meter = Meter(circuits_of_providers)
    telemetry = configured_telemetry()
    # The live feed belongs to the event loop of the requests; the others may be on any thread.
    anywhere = [meter.observe, *telemetry.observers]
    observers = [feed.observe, *anywhere]
    entries = LedgerEntryBuilder(storage_policy())
    wire_of = caller.wire_of
    sessions = SessionStates(objects, wire_of) if product.session_routing else None
    habits = CacheHabits()
    api_keys = ApiKeys(product.auth)
    keep_alive = None
    if product.prompt_cache_keep_alive:
        keep_alive = CacheKeeper(habits, prices, objects, wire_of, api_keys.still_serves)
    accounting = Accounting(
        prices, ledger, entries, limits, observers, baselines, sessions, density
    )
    settlement = Settlement(objects, registry.providers, prices, known, observers)
    refusals = Refusals(
        ledger,
        meter.count_refusal,
        quotations=product.store_prompts == "full",
        per_minute=product.refusals_per_minute,
        per_client=product.refusals_per_client,
    )
    background = ThreadPoolExecutor(max_workers=1, thread_name_prefix="background")
    rules_file = Path(product.rules_file) if product.rules_file else None
    rules = ActiveRules(rules_file, rules_load, rules_version)
    experiments = Experiments(names, running_experiment)
    levers = active_levers(product)
    lever_tasks = LeverTasks(levers)
    # Data that other workers, the admin or a command may change.
    refreshes: dict[str, Callable[[], object]] = {
        # Also twice a second while the service runs; commands only read what is here.
        "the providers and models set here": operation.refresh,
        "the outcomes": evidence.refresh,
        "the rules": rules.refresh,
        "the experiments": experiments.refresh,
    }
    output_lengths = OutputLengths()
    refreshes["the lengths of answers"] = output_lengths.refresh
    speeds = LearnedSpeeds()
    refreshes["the speed of models"] = speeds.refresh
    if sessions is not None:
        refreshes["the lengths of sessions"] = sessions.refresh
    if keep_alive is not None:
        refreshes["how long sessions wait"] = habits.refresh
    if semantic is not None:
        refreshes["the semantic cache"] = semantic.refresh
    conversations = ConversationMemory(objects)
    refreshes["which conversations were shortened"] = conversations.refresh

    def judging_in_force(
        product: ProductSettings, guarantee: ActiveGuarantee | None
    ) -> JudgingInForce:
        judging = configured_judging(
            product, names, caller, prices, background, budgets, lambda: ledger.health.can_record
        )
        autopilot = configured_autopilot(product, judging, options)
        watchers = Watchers(
            judge=configured_judge(product, judging, guarantee, baselines),
            shadow=configured_shadow(product, judging),
            lever_pairs=configured_lever_pairs(product, judging),
            autopilot=autopilot.active,
            trial_answers=autopilot.answers,
        )
        return JudgingInForce(watchers, autopilot)

    models = Models(names, catalogue, caller, prices)
    quality = ActiveQuality(product, os.environ, models, baselines, guarantee, judging_in_force)
    refreshes["judge, guarantee and baseline"] = quality.refresh
    refreshes["the compared answers"] = quality.refresh_guarantee
    refreshes["the counts of shadow evaluation"] = quality.write_counts
    refreshes["the trials of the autopilot"] = quality.refresh_trials
    ways = LeverWays(levers, caller, options, output_lengths, speeds)
    outcomes = CascadeOutcomes(lambda: levers.mode("cascade") != "off")
    refreshes["the cascades"] = outcomes.refresh
    cascades = CascadeLever(
        levers, CascadePlanner(options, outcomes, cascade_command(product)), caller, prices, limits
    )
    past = PastRequests(engine, names, prices, speeds, output_lengths, PastWays(ways))
    routing = RoutingService(
        engine=engine,
        options=options,
        caller=caller,
        accounting=accounting,
        cache=AnswerCache(cache, semantic, levers),
        levers=RequestLevers(
            levers,
            (*REQUEST_LEVERS, FlexLever(ways)),
            CompressionLever(levers, conversations, options.features),
        ),
        ways=ways,
        cascades=cascades,
        rules=rules,
        experiments=experiments,
        watchers=quality.judging.watchers,
        budgets=budgets,
        sessions=sessions,
        output_lengths=output_lengths,
        speeds=speeds,
        stream_limits=StreamLimits(product.stream_seconds, product.stream_idle_seconds),
        most_abandoned=(product.max_concurrent_requests + 1) // 2,
        keep_alive=keep_alive,
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
        proofs=calls,
        may_work=lambda: not ledger.journal_backlog,
    )
    return Services(
        catalogue=catalogue,
        prices=prices,
        price_service=price_service,
        baselines=baselines,
        registry=registry,
        caller=caller,
        circuits=circuits,
        keys=keys,
        members=members,
        operation=operation,
        quality=quality,
        evidence=evidence,
        expectations=Expectations(known, predictor, abilities),
        options=options,
        engine=engine,
        ledger=ledger,
        cache=cache,
        routing=routing,
        semantic=semantic,
        rules=rules,
        experiments=experiments,
        levers=levers,
        guarantee=guarantee,
        rule_previews=RulePreviews(past),
        what_if=WhatIf(past, rules, wire_of),
        names=names,
        limits=limits,
        concurrency=ConcurrencyLimiter(
            product.max_concurrent_requests,
            product.queue_seconds,
            product.shared_store,
            product.tenant_weights,
        ),
        api_keys=api_keys,
        budgets=budgets,
        brakes=SessionBrakes(_runaway_policy(product), ledger),
        watchdog=HoldWatchdog(budgets, ledger, calls),
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
        refusals=refusals,
        feed=feed,
        meter=meter,
        telemetry=telemetry,
        playground=Playground(
            routing,
            names,
            catalogue_preview(catalogue, prices, known, accounting, evidence, predictor, abilities),
            configured=lambda: any(name != "local" for name in registry.providers),
        ),
        connections=Connections(catalogue, os.environ, caller, options, routing),
        embedding=EmbeddingService(names, caller, accounting, budgets),
        specialised=SpecialisedService(names, caller, accounting, budgets, prices),
        provider_objects=ProviderObjects(objects, settlement, budgets, known),
        stored_responses=StoredResponses(objects, on=product.store_prompts == "full", mask=mask),
        own_calls=OwnCalls(caller, accounting, budgets),
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
                _connection_settings(product),
                anywhere,
                operation.running_environment,
            ),
            moves_judge(prices),
            quality.run_autopilot,
            lever_tasks.stop_harmful,
            lever_tasks.measure,
            circuits_of_providers,
            quality.guarantee_now,
        ),
    )
