"""What decides on models in this installation: routing, rules, experiments and levers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from analytics.rules import rules_load, rules_version
from optimizer.gateway.learned.answer_speeds import LearnedSpeeds
from optimizer.gateway.learned.output_lengths import OutputLengths
from optimizer.gateway.levers.cascade.outcomes import CascadeOutcomes
from optimizer.gateway.levers.cascade.plan import CascadePlanner
from optimizer.gateway.levers.ways import LeverWays
from optimizer.gateway.model_options import AvailableModels
from optimizer.policies.experiments import Experiments, running_experiment
from optimizer.policies.levers import ActiveLevers
from optimizer.policies.rules import ActiveRules
from optimizer.quality.evidence import EvidenceTable
from optimizer.quality.guarantee import GuaranteeInForce
from optimizer.wiring.installation.upstream import Upstream
from optimizer.wiring.levers import active_levers, cascade_command
from optimizer.wiring.product_settings import ProductSettings
from optimizer.wiring.quality import configured_guarantee
from optimizer.wiring.routing import installed_predictor, learned_evidence, routing_engine
from routing.engine import RoutingEngine
from routing.learning.predictor import QualityPredictor


@dataclass(frozen=True, slots=True)
class Deciding:
    """What chooses the model of a request, and the way to call it."""

    options: AvailableModels
    predictor: QualityPredictor | None
    evidence: EvidenceTable
    guarantee: GuaranteeInForce
    engine: RoutingEngine
    rules: ActiveRules
    experiments: Experiments
    levers: ActiveLevers
    output_lengths: OutputLengths
    speeds: LearnedSpeeds
    ways: LeverWays
    cascades: CascadePlanner
    cascade_outcomes: CascadeOutcomes


def build_deciding(product: ProductSettings, upstream: Upstream) -> Deciding:
    """Build what decides on models, as the settings say."""
    caller, names, prices = upstream.caller, upstream.names, upstream.prices
    predictor = installed_predictor()
    evidence = learned_evidence(predictor)
    options = AvailableModels(
        upstream.catalogue, prices, caller, upstream.known, upstream.abilities
    )
    guarantee = GuaranteeInForce(configured_guarantee(product, names, caller))
    rules_file = Path(product.rules_file) if product.rules_file else None
    levers = active_levers(product)
    output_lengths, speeds = OutputLengths(), LearnedSpeeds()
    outcomes = CascadeOutcomes(lambda: levers.mode("cascade") != "off")
    return Deciding(
        options=options,
        predictor=predictor,
        evidence=evidence,
        guarantee=guarantee,
        engine=routing_engine(options, evidence, predictor, guarantee),
        rules=ActiveRules(rules_file, rules_load, rules_version),
        experiments=Experiments(names, running_experiment),
        levers=levers,
        output_lengths=output_lengths,
        speeds=speeds,
        ways=LeverWays(levers, caller, options, output_lengths, speeds),
        cascades=CascadePlanner(options, outcomes, cascade_command(product)),
        cascade_outcomes=outcomes,
    )
