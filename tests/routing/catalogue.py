"""A small catalogue for routing tests."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from routing.engine import RoutingEngine
from routing.learning.posterior import Posterior
from routing.models import (
    Evidence,
    EvidenceKey,
    ModelOption,
    ModelRef,
    PromptAnalysis,
    RoutingContext,
    Tier,
)
from routing.policies import CheapestAboveTarget, Policy
from routing.strategies.best import BestStrategy
from routing.strategies.cheapest import CheapestStrategy
from routing.strategies.complexity import ComplexityStrategy
from routing.strategies.hybrid import HybridStrategy
from routing.strategies.learning import LearningStrategy
from routing.strategies.named import NamedStrategy

EASY = "What is the capital of France?"
HARD = (
    "Design and implement a distributed rate limiter, analyze its complexity, compare at least "
    "three algorithms, prove its correctness and explain every tradeoff step by step in detail."
)


def option(
    provider: str, model: str, tier: Tier, rank: int, price: str | None = "1", **more: object
) -> ModelOption:
    cost = None if price is None else Decimal(price)
    fields = {"context_window": 100_000, **more}
    return ModelOption(provider, model, tier, rank, cost, cost, **fields)


OPTIONS = (
    option("a", "small", "simple", 0, "0.1", capabilities=frozenset({"tools"})),
    option("b", "small", "simple", 1, "0.2"),
    option("a", "mid", "moderate", 2, "1"),
    option("b", "big", "complex", 3, "10", capabilities=frozenset({"tools", "vision"})),
    option("c", "odd", "moderate", 4, None),
)


DEFAULT_POLICY = CheapestAboveTarget()


class Fixed:
    """Options and evidence that tests set."""

    def __init__(self, options: tuple[ModelOption, ...] = OPTIONS) -> None:
        self.now = options
        self.known: dict[EvidenceKey, Evidence] = {}

    def options(self) -> tuple[ModelOption, ...]:
        return self.now

    def named(self, models: frozenset[ModelRef]) -> tuple[ModelOption, ...]:
        return tuple(option for option in self.now if option.ref in models)

    def posterior(self) -> Posterior:
        return Posterior(self.known)


def engine_over(fixed: Fixed, policy: Policy = DEFAULT_POLICY, **parts: Any) -> RoutingEngine:
    """``parts``: a predictor, an explorer."""
    complexity = ComplexityStrategy()
    learning = LearningStrategy(fixed, policy, complexity, **parts)
    strategies = {
        "complexity": complexity,
        "learning": learning,
        "hybrid": HybridStrategy(learning, complexity),
        "cheapest": CheapestStrategy(learning),
        "best": BestStrategy(learning),
        "named": NamedStrategy(),
    }
    return RoutingEngine(fixed, strategies, complexity=complexity)


def outcomes(count: int, mean: float, expected: float = 0.8) -> Evidence:
    """``count`` outcomes of a mean quality where ``expected`` had been expected, none faded."""
    return Evidence(count, count, count * mean, count * expected)


def context(prompt: str = EASY, **more: object) -> RoutingContext:
    return RoutingContext(prompt, **more)


def analysis(tier: Tier = "simple", pattern: str = "factual") -> PromptAnalysis:
    score = {"simple": 0.1, "moderate": 0.5, "complex": 0.9}[tier]
    return PromptAnalysis(pattern, score, tier, 10)
