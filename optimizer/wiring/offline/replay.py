"""Runs a replay: builds the gateway's own parts around a provider of recorded answers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

from analytics.ledger.ledger import Ledger
from optimizer.gateway.cache.lookup import AnswerCache
from optimizer.gateway.model_options import AvailableModels
from optimizer.gateway.recording.accounting import Accounting
from optimizer.gateway.recording.ledger_entries import LedgerEntryBuilder, StoragePolicy
from optimizer.gateway.service import RoutingService
from optimizer.lab.replay import (
    Replay,
    ReplayPlan,
    ReplayProvider,
    replay_catalogue,
)
from optimizer.quality.evidence import Expectations
from optimizer.wiring.installation.folders import journal
from optimizer.wiring.product_settings import product_settings
from optimizer.wiring.routing import installed_predictor, learned_evidence, routing_engine
from providers.known_models import KnownModels
from providers.pricing import PriceBook
from providers.resilience import ResiliencePolicy, ResilientCaller
from routing.outcomes import Prices, RecordedPrompt


async def replay(
    prompts: Sequence[RecordedPrompt],
    prices: Prices,
    plan: ReplayPlan,
    step: Callable[[], None] = lambda: None,
) -> None:
    """Send ``prompts`` through routing, pricing, ledger and learning; call ``step`` after each.

    Benchmarks are replayed one after the other, as each has models of its own.
    """
    benchmarks: dict[str, list[RecordedPrompt]] = defaultdict(list)
    for prompt in prompts:
        benchmarks[prompt.benchmark].append(prompt)
    for members in benchmarks.values():
        await _replay(members, prices, plan, step)


async def _replay(
    prompts: Sequence[RecordedPrompt], prices: Prices, plan: ReplayPlan, step: Callable[[], None]
) -> None:
    catalogue = replay_catalogue(prompts, prices)
    price_book = PriceBook(catalogue)
    provider = ReplayProvider(prompts)
    caller = ResilientCaller({provider.name: provider}, ResiliencePolicy(retries=0))
    predictor = installed_predictor()
    evidence = learned_evidence(predictor)
    options = AvailableModels(catalogue, price_book, caller)
    ledger = Ledger(journal())
    routing = RoutingService(
        engine=routing_engine(options, evidence, predictor),
        options=options,
        caller=caller,
        accounting=Accounting(
            price_book,
            ledger,
            LedgerEntryBuilder(StoragePolicy(product_settings().store_prompts), replayed=True),
        ),
        cache=AnswerCache(None),
    )
    expectations = Expectations(KnownModels(catalogue), predictor)
    run = Replay(routing, provider, evidence, expectations.expected)
    try:
        await run.run(prompts, plan, step)
        await routing.drain()
    finally:
        run.close()
        ledger.close()
