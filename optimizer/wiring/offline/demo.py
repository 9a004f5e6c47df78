"""Writes the demo: the gateway's own parts around simulated models, in a database of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from analytics.cache import CacheReader
from analytics.ledger.ledger import Ledger
from analytics.ledger.rollups import totals_update
from analytics.models import StaleRollupHour
from optimizer.domain.client import Client
from optimizer.domain.model_names import ModelNames
from optimizer.gateway.cache.lookup import AnswerCache
from optimizer.gateway.learned.output_lengths import OutputLengths
from optimizer.gateway.model_options import AvailableModels
from optimizer.gateway.recording.accounting import Accounting
from optimizer.gateway.recording.ledger_entries import StoragePolicy
from optimizer.gateway.service import RoutingService
from optimizer.lab.demo.company import Company
from optimizer.lab.demo.operations import (
    operations_finish,
    operations_prepare,
    operations_turnings,
)
from optimizer.lab.demo.schedule import PlannedRequest, planned_requests
from optimizer.lab.demo.simulated_models import (
    SimulatedProvider,
    SimulatedQuality,
    SimulatedTiming,
)
from optimizer.lab.demo.traffic import REFERENCE, DemoTraffic, Turning
from optimizer.policies.experiments import Experiments, running_experiment
from optimizer.pricing.baseline_choice import BaselineChoice, dearest_model
from optimizer.quality.evidence import Expectations
from optimizer.quality.guarantee import ActiveGuarantee
from optimizer.wiring.installation.folders import journal
from optimizer.wiring.installation.upstream import installed_catalogue
from optimizer.wiring.routing import (
    installed_predictor,
    learned_evidence,
    routing_abilities,
    routing_engine,
)
from providers import features
from providers.catalogue import Catalogue
from providers.known_models import KnownModels
from providers.pricing import PriceBook
from providers.resilience import ResiliencePolicy, ResilientCaller
from routing.adjustments.guarantee import Guarantee
from routing.guarantee.calibration import Promise

PROVIDERS = ("openai", "claude", "gemini", "deepseek")
"""The providers that the made-up company has keys for."""
_FEATURES = {"anthropic": features.ANTHROPIC, "gemini": features.GEMINI}
_SUMMED_TOGETHER = timedelta(days=20)
PROMISE = Promise(0.05)
# Failures are planned, and time passes thousands of times as fast as circuits expect.
_POLICY = ResiliencePolicy(retries=0, breaker_failures=1_000_000)

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is."""


class _LaterGuarantee:
    """The guarantee, in force from a moment of the demo on."""

    def __init__(self) -> None:
        self.active = ActiveGuarantee(REFERENCE, PROMISE)
        self.in_force = False

    def guarantee(self) -> Guarantee | None:
        """Return the guarantee once it is in force, else ``None``."""
        return self.active.guarantee() if self.in_force else None

    def begin(self) -> None:
        """Put the guarantee in force if what was compared until now is enough for it."""
        self.active.refresh()
        self.in_force = self.active.guarantee().calibration.threshold is not None


def demo_write(*, requests: int, days: int, seed: int, progress: Progress) -> int:
    """Write the demo into the default database, which holds nothing else; return its requests."""
    now = datetime.now(UTC)
    company = Company()
    progress("Planning the requests", 0, 1)
    planned = planned_requests(company, requests=requests, days=days, seed=seed, now=now)
    clients = operations_prepare()
    asyncio.run(_send(planned, clients, company.tools, now, days, seed, progress))
    progress("Setting limits", 0, 1)
    operations_finish(now)
    # Everything is summed once, below; that hours were written late needs no second sum.
    StaleRollupHour.objects.all().delete()
    for step, _ in enumerate(totals_update(now, _SUMMED_TOGETHER)):
        progress("Summing hours and days", min(step, days), days)
    return len(planned)


async def _send(
    planned: list[PlannedRequest],
    clients: Mapping[str, Client],
    tools: Sequence[str],
    now: datetime,
    days: int,
    seed: int,
    progress: Progress,
) -> None:
    catalogue = installed_catalogue()
    known = KnownModels(catalogue)
    prices = PriceBook(catalogue, known)
    caller = ResilientCaller(_providers(catalogue, seed), _POLICY, known.lacks)
    predictor, abilities = installed_predictor(), routing_abilities()
    evidence = learned_evidence(predictor)
    options = AvailableModels(catalogue, prices, caller, known, abilities)
    names = ModelNames(catalogue, caller, known)
    expect = Expectations(known, predictor, abilities).expected
    experiments = Experiments(names, running_experiment)
    guarantee, lengths = _LaterGuarantee(), OutputLengths()
    ledger, cache = Ledger(journal()), CacheReader()
    default = dearest_model(catalogue, caller, prices)
    routing = RoutingService(
        engine=routing_engine(options, evidence, predictor, guarantee),
        options=options,
        caller=caller,
        accounting=Accounting(
            prices,
            ledger,
            SimulatedTiming(catalogue, StoragePolicy("full")),
            baselines=BaselineChoice(names, default, complexity=False),
        ),
        cache=AnswerCache(cache),
        experiments=experiments,
        output_lengths=lengths,
    )
    traffic = DemoTraffic(
        routing, names, prices, ledger, evidence, SimulatedQuality(expect, seed), expect, clients,
        tools, seed,
    )  # fmt: skip
    turnings = [
        Turning(turning.at, _then(turning.happens, experiments.refresh))
        for turning in operations_turnings(now, days)
    ]
    turnings += [
        Turning(now - timedelta(days=days * (1 - share)), happens)
        for share, happens in (
            (0.1, lengths.refresh),
            (0.7, guarantee.begin),
            (0.9, guarantee.begin),
        )
    ]
    done = 0

    def step() -> None:
        nonlocal done
        done += 1
        if done % 20 == 0 or done == len(planned):
            progress("Deciding and recording requests", done, len(planned))

    try:
        await traffic.run(planned, turnings, step)
        await routing.drain()
    finally:
        traffic.close()
        ledger.close()
        cache.close()


def _providers(catalogue: Catalogue, seed: int) -> dict[str, SimulatedProvider]:
    wires = {name: catalogue.providers[name].wire for name in PROVIDERS}
    return {
        name: SimulatedProvider(name, wire, _FEATURES.get(wire, features.OPENAI), seed)
        for name, wire in wires.items()
    }


def _then(first: Callable[[], object], second: Callable[[], object]) -> Callable[[], None]:
    def both() -> None:
        first()
        second()

    return both
