"""`python -m benchmarks.routing.decision`: how long routing takes, by strategy and prompt length.

The reference is ``json.dumps`` of the same decision's candidates, measured beside it.
"""

from __future__ import annotations

import json
import platform
import statistics
import time
from collections.abc import Callable

from rich.console import Console
from rich.table import Table

from providers.catalogue import load_catalogue
from providers.pricing import PriceBook
from routing.engine import RoutingEngine
from routing.learning.artifact import SHIPPED, load_artifact
from routing.learning.exploration import Explorer
from routing.learning.posterior import Posterior
from routing.models import Evidence, EvidenceKey, ModelOption, ModelRef, RoutingContext
from routing.policies import CheapestAboveTarget
from routing.strategies.complexity import ComplexityStrategy
from routing.strategies.hybrid import HybridStrategy
from routing.strategies.learning import LearningStrategy

_REPEATS = 3000
_SENTENCE = "Compare the two designs and explain which of them scales better, and why. "


class Known:
    """The whole catalogue, with 30 outcomes for each model."""

    def __init__(self) -> None:
        catalogue = load_catalogue()
        prices = PriceBook(catalogue)
        found = [(spec, prices.rates(spec.provider, spec.id)) for spec in catalogue.models]
        self._options = tuple(
            ModelOption(
                s.provider, s.id, s.tier, s.rank,  # type: ignore[arg-type]
                r.input.base if r else None, r.output.base if r else None,
                s.context_window, s.capabilities,
            )
            for s, r in found
        )  # fmt: skip
        evidence: dict[EvidenceKey, Evidence] = {
            (pattern, tier, o.provider, o.model): Evidence(30, 30.0, 25.0, 24.0)
            for pattern in ("analysis", "factual", "general")
            for tier in ("simple", "moderate", "complex")
            for o in self._options
        }  # type: ignore[assignment]
        self._posterior = Posterior(evidence)

    def options(self) -> tuple[ModelOption, ...]:
        return self._options

    def named(self, models: frozenset[ModelRef]) -> tuple[ModelOption, ...]:
        return tuple(option for option in self._options if option.ref in models)

    def posterior(self) -> Posterior:
        return self._posterior


def times(work: Callable[[], object]) -> tuple[float, float]:
    """Median and 99th percentile in microseconds."""
    taken = []
    for _ in range(_REPEATS):
        begun = time.perf_counter_ns()
        work()
        taken.append((time.perf_counter_ns() - begun) / 1000)
    return statistics.median(taken), statistics.quantiles(taken, n=100)[98]


def main() -> None:
    known = Known()
    complexity = ComplexityStrategy()
    learning = LearningStrategy(
        known,
        CheapestAboveTarget(),
        complexity,
        predictor=load_artifact(SHIPPED).predictor,
        explorer=Explorer(rate=0.05, seed=0),
    )  # explores only where the context allows it
    hybrid = HybridStrategy(learning, complexity)
    engine = RoutingEngine(
        known, {"complexity": complexity, "learning": learning, "hybrid": hybrid}
    )
    console = Console(highlight=False)
    console.print(f"Python {platform.python_version()}, {len(known.options())} models")
    table = Table()
    for heading in ("strategy", "prompt characters", "median µs", "p99 µs", "of json.dumps"):
        table.add_column(heading, justify="right")
    for characters in (30, 1_200, 400_000):
        prompt = (_SENTENCE * (characters // len(_SENTENCE) + 1))[:characters]
        context = RoutingContext(prompt)
        metadata = engine.route(context).metadata
        reference, _ = times(lambda m=metadata: json.dumps(m, default=str))  # type: ignore[misc]
        exploring = RoutingContext(prompt, explore=True)
        for label, name, asked in (
            ("complexity", "complexity", context),
            ("learning", "learning", context),
            ("hybrid", "hybrid", context),
            ("hybrid, exploring", "hybrid", exploring),
        ):
            median, p99 = times(lambda c=asked, n=name: engine.route(c, strategy=n))  # type: ignore[misc]
            table.add_row(
                label, f"{characters:,}", f"{median:.0f}", f"{p99:.0f}", f"{median / reference:.2f}"
            )
    console.print(table)


if __name__ == "__main__":
    main()
