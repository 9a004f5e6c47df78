"""What decides past requests of the demo again: its own providers, outcomes and guarantee."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from analytics.database.demo import demo_database
from optimizer.domain.model_names import ModelNames
from optimizer.gateway.learned.output_lengths import OutputLengths
from optimizer.gateway.model_options import AvailableModels
from optimizer.lab.demo.traffic import REFERENCE
from optimizer.lab.past_requests import PastRequests
from optimizer.lab.whatif.estimator import WhatIf
from optimizer.policies.rules import ActiveRules
from optimizer.quality.evidence import EvidenceTable
from optimizer.quality.guarantee import ActiveGuarantee, GuaranteeInForce
from optimizer.wiring.build import get_services
from optimizer.wiring.catalogue_preview import UncalledProvider
from optimizer.wiring.offline.demo import PROMISE, PROVIDERS
from optimizer.wiring.routing import (
    installed_predictor,
    learned_evidence,
    routing_abilities,
    routing_engine,
)
from providers.known_models import KnownModels
from providers.resilience import ResiliencePolicy, ResilientCaller


@dataclass(frozen=True, slots=True)
class DemoPolicies:
    """The parts of the service that estimates need, as the made-up company has them."""

    names: ModelNames
    rules: ActiveRules
    evidence: EvidenceTable
    guarantee: GuaranteeInForce
    what_if: WhatIf


def demo_policies() -> DemoPolicies:
    """Return the parts for the demo that there is; call it while the demo is read.

    They are built once for each demo. Nothing in them can call a provider.
    """
    return _built(demo_database().stat().st_mtime_ns)


@lru_cache(maxsize=1)
def _built(made_at: int) -> DemoPolicies:
    services = get_services()
    catalogue, prices = services.catalogue, services.prices
    wires = {name: catalogue.providers[name].wire for name in PROVIDERS}
    caller = ResilientCaller(
        {name: UncalledProvider(name, wire) for name, wire in wires.items()},
        ResiliencePolicy(retries=0),
    )
    known, predictor = KnownModels(catalogue), installed_predictor()
    evidence = learned_evidence(predictor)
    guarantee = GuaranteeInForce(ActiveGuarantee(REFERENCE, PROMISE))
    lengths = OutputLengths()
    for reading in (evidence, guarantee, lengths):
        reading.refresh()
    options = AvailableModels(catalogue, prices, caller, known, routing_abilities())
    engine = routing_engine(options, evidence, predictor, guarantee)
    names = ModelNames(catalogue, caller, known)
    rules = ActiveRules(None, lambda _: [])
    past = PastRequests(engine, names, prices, lengths=lengths)
    return DemoPolicies(names, rules, evidence, guarantee, WhatIf(past, rules, wires.__getitem__))
