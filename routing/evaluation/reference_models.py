"""Five models that stand for what can be chosen, to compare decisions on many prompts.

Their places go from the weak model of the predictor to the best models of today, and each costs
three times as much as the one before. So a decision says how much a prompt was thought to need,
and not which of two twins is cheaper today.
"""

from __future__ import annotations

from decimal import Decimal

from routing.engine import RoutingEngine
from routing.learning.posterior import Posterior
from routing.learning.predictor import QualityPredictor
from routing.models import ModelOption, ModelRef, Tier
from routing.policies import CheapestAboveTarget
from routing.strategies.base import Strategy
from routing.strategies.complexity import ComplexityStrategy
from routing.strategies.hybrid import HybridStrategy
from routing.strategies.learning import LearningStrategy

_PROVIDER = "reference"
_PLACES: tuple[tuple[float, Tier], ...] = (
    (0.0, "simple"), (0.5, "simple"), (1.0, "moderate"), (1.5, "complex"), (2.0, "complex"),
)  # fmt: skip
_WIDTH = 0.3
_CHEAPEST, _DEARER = Decimal("0.1"), 3
_OUTPUT_TIMES_INPUT = 5
_CONTEXT = 200_000


class ReferenceModels:
    """The five models, as routing chooses among them."""

    def __init__(self) -> None:
        self._options = tuple(_option(*entry) for entry in enumerate(_PLACES))

    def options(self) -> tuple[ModelOption, ...]:
        """Return all of them."""
        return self._options

    def named(self, models: frozenset[ModelRef]) -> tuple[ModelOption, ...]:
        """Return those of ``models`` that are among them."""
        return tuple(option for option in self._options if option.ref in models)


def _option(rank: int, entry: tuple[float, Tier]) -> ModelOption:
    at, tier = entry
    price = _CHEAPEST * _DEARER**rank
    return ModelOption(
        _PROVIDER, f"place {at:g}", tier, rank, price, price * _OUTPUT_TIMES_INPUT, _CONTEXT,
        place=at, place_width=_WIDTH,
    )  # fmt: skip


class _NoOutcomes:
    """A source without any recorded outcome."""

    def __init__(self) -> None:
        self._posterior = Posterior({})

    def posterior(self) -> Posterior:
        """Return the empty posterior."""
        return self._posterior


def reference_engine(predictor: QualityPredictor | None) -> RoutingEngine:
    """Return an engine among the reference models that knows no outcome."""
    complexity = ComplexityStrategy()
    learning = LearningStrategy(
        _NoOutcomes(), CheapestAboveTarget(), complexity, predictor=predictor
    )
    strategies: dict[str, Strategy] = {
        "complexity": complexity,
        "learning": learning,
        "hybrid": HybridStrategy(learning, complexity),
    }
    return RoutingEngine(ReferenceModels(), strategies, complexity=complexity)
