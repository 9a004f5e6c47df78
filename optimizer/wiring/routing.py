"""Builds the routing engine from settings: strategies, evidence, predictor and policy."""

from __future__ import annotations

import logging
from pathlib import Path

from django.conf import settings

from analytics.quality.evidence import evidence_load
from optimizer.quality.evidence import EvidenceTable
from optimizer.wiring.product_settings import product_settings
from providers.abilities import AbilitiesError, AbilityTable
from providers.ability_files import load_abilities
from routing.adjustments.guarantee import GuaranteeSource
from routing.engine import RoutingEngine
from routing.learning.artifact import SHIPPED, ArtifactError, load_artifact
from routing.learning.exploration import Explorer
from routing.learning.posterior import PRIOR_STRENGTH
from routing.learning.predictor import QualityPredictor
from routing.models import OptionSource
from routing.policies import BestUnderCap, CheapestAboveTarget, Policy, QualityMinusCost
from routing.strategies.best import BestStrategy
from routing.strategies.cheapest import CheapestStrategy
from routing.strategies.complexity import ComplexityStrategy
from routing.strategies.hybrid import HybridStrategy
from routing.strategies.learning import LearningStrategy
from routing.strategies.named import NamedStrategy

logger = logging.getLogger(__name__)


def installed_predictor() -> QualityPredictor | None:
    """Return the trained predictor; ``None`` if it is off or, with an error logged, unusable."""
    product = product_settings()
    if product.router_artifact == "off":
        return None
    path = Path(product.router_artifact) if product.router_artifact else SHIPPED
    try:
        return load_artifact(path).predictor
    except ArtifactError as error:
        logger.error("Routing continues without a trained predictor. %s", error)
        return None


def installed_abilities() -> AbilityTable:
    """Return the published abilities; if the refreshed file is unusable, the shipped ones.

    The error is logged then.
    """
    try:
        return load_abilities(refreshed_abilities_file())
    except AbilitiesError as error:
        logger.error("Routing continues with the shipped abilities. %s", error)
        return load_abilities()


def routing_abilities() -> AbilityTable | None:
    """Return the abilities by which models are placed; ``None`` with a predictor of one's own.

    The weak and the strong model of such a predictor are others, so that the places of the
    shipped one say nothing about them.
    """
    return None if product_settings().router_artifact else installed_abilities()


def refreshed_abilities_file() -> Path:
    """Return the file that ``manage.py abilities --refresh`` writes."""
    return Path(settings.DATA_DIR) / "abilities.toml"


def learned_evidence(predictor: QualityPredictor | None) -> EvidenceTable:
    """Return the table of outcomes, weighted against the predictor's expectations."""
    return EvidenceTable(evidence_load, predictor.prior_strength if predictor else PRIOR_STRENGTH)


def routing_engine(
    options: OptionSource,
    evidence: EvidenceTable,
    predictor: QualityPredictor | None,
    guarantees: GuaranteeSource | None = None,
) -> RoutingEngine:
    """Return an engine whose strategies share the same options, evidence and predictor."""
    complexity = ComplexityStrategy()
    learning = LearningStrategy(
        evidence,
        configured_policy(),
        complexity,
        predictor=predictor,
        explorer=Explorer(product_settings().exploration_rate),
    )
    return RoutingEngine(
        options,
        {
            "complexity": complexity,
            "learning": learning,
            "hybrid": HybridStrategy(learning, complexity),
            "cheapest": CheapestStrategy(learning),
            "best": BestStrategy(learning),
            "named": NamedStrategy(),
        },
        complexity=complexity,
        guarantees=guarantees,
    )


def configured_policy() -> Policy:
    """Return the policy of learned routing: a quality target, a cost cap or a cost penalty."""
    product = product_settings()
    if product.routing_policy == "cap":
        return BestUnderCap(product.cost_cap)
    if product.routing_policy == "penalty":
        return QualityMinusCost(product.cost_penalty)
    return CheapestAboveTarget(product.quality_target)
