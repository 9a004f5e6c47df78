"""`python -m benchmarks.routing.exploration`: what exploring by value of information gains.

The truth is known: simulated worlds of 21 kinds of prompts, which come unequally often, and eight
models, whose qualities differ from what is expected of them by kind, by model and by both. Both
explorers draw by Thompson sampling and spend the same share of requests; "uniform" gives each
request the same probability. Half of the answers are rated. Regret is how much worse the choice
is than the policy's with the truth known: for a target of 0.7 in costs of the most expensive model
(0.2 of quality below the target counts as one), for a penalty in quality.
"""

from __future__ import annotations

import argparse
import platform
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from routing.learning.exploration import Explorer
from routing.learning.posterior import Posterior, expit, learn
from routing.models import NO_EVIDENCE, TIERS, Evidence, EvidenceKey, Tier
from routing.patterns import PATTERNS
from routing.policies import CheapestAboveTarget, Costs, Policy, QualityMinusCost

_KINDS: list[tuple[str, Tier]] = [(pattern, tier) for pattern in PATTERNS for tier in TIERS]
_MODELS = 8
_PRIOR_STRENGTH, _LEAD_STRENGTH = 9.0, 37.0
_BASE = {"simple": 1.6, "moderate": 1.1, "complex": 0.6}
_RATED = 0.5
_READ_EVERY = 25
"""Requests between two readings of the outcomes."""
_Z = 1.96
Floats = NDArray[np.float64]


class PenaltyByValue(QualityMinusCost):
    """The penalty, explored by value of information, to show what that would gain."""

    def worth(self, quality: Floats, costs: Costs) -> Floats:  # type: ignore[override]
        return quality - np.array([float(self.penalty * (cost or 0)) for cost in costs])


class UniformExplorer(Explorer):
    """Explores every request with the same probability."""

    def _rate_of(self, value: float) -> float:
        return self.rate


@dataclass(frozen=True, slots=True)
class World:
    """Models, cheapest first, and kinds of prompts.

    ``costs`` are USD. ``expected`` are logits and ``true`` qualities, each (kinds, models);
    ``widths`` are the standard deviations of the models' places, ``share`` of each kind.
    """

    costs: list[Decimal]
    widths: Floats
    share: Floats
    expected: Floats
    true: Floats


def make_world(rng: np.random.Generator) -> World:
    """Make a world; a model's place follows its price with some luck."""
    costs = np.sort(np.exp(np.linspace(-8.5, -3.9, _MODELS) + rng.normal(0, 0.3, _MODELS)))
    places = np.sort(rng.uniform(0, 2.2, _MODELS))
    places = places[np.argsort(np.argsort(places + rng.normal(0, 0.5, _MODELS)))]
    widths = rng.uniform(0.2, 0.5, _MODELS)
    of_model = rng.normal(0, 1, _MODELS) * widths
    of_pattern = {pattern: rng.normal(0, 0.8) for pattern in PATTERNS}
    share = rng.permutation(1 / np.arange(1, len(_KINDS) + 1))
    expected = np.array([_BASE[tier] + places for _, tier in _KINDS])
    logits = [
        row + of_model + of_pattern[pattern] + rng.normal(0, 0.4) + rng.normal(0, 0.5, _MODELS)
        for row, (pattern, _) in zip(expected, _KINDS, strict=True)
    ]
    prices = [Decimal(repr(float(cost))) for cost in costs]
    return World(prices, widths, share / share.sum(), expected, 1 / (1 + np.exp(-np.array(logits))))


def mean_regret(
    world: World, policy: Policy, explorer: Explorer, requests: int, seed: int
) -> tuple[float, float]:
    """Return the mean regret of a request, and the share of requests that explored."""
    rng = np.random.default_rng(seed)
    outcomes: dict[EvidenceKey, Evidence] = {}
    posterior = Posterior({}, _PRIOR_STRENGTH)
    regret = explored = 0.0
    for number, kind in enumerate(rng.choice(len(_KINDS), size=requests, p=world.share)):
        if number % _READ_EVERY == 0:
            posterior = Posterior(dict(outcomes), _PRIOR_STRENGTH)
        pattern, tier = _KINDS[kind]
        estimates = [
            posterior.estimate(
                float(world.expected[kind, model]),
                posterior.observed(pattern, tier, "p", str(model)),
                _LEAD_STRENGTH,
                float(world.widths[model]),
            )
            for model in range(_MODELS)
        ]
        low = np.array([[estimate.low for estimate in estimates]])
        exploration = explorer.choose(
            policy,
            np.array([estimate.mean for estimate in estimates]),
            np.array([estimate.deviation for estimate in estimates]),
            world.costs,
            int(policy.pick(low, world.costs)[0]),
        )
        chosen = exploration.choice
        explored += exploration.rate
        worths = policy.worth(world.true[None, kind], world.costs)
        assert worths is not None
        worth = worths[0]
        regret += worth.max() - worth[chosen]
        score, rated = rng.random() < world.true[kind, chosen], rng.random() < _RATED
        if rated:
            key = (pattern, tier, "p", str(chosen))
            expected = expit(float(world.expected[kind, chosen]))
            outcomes[key] = learn(outcomes.get(key, NO_EVIDENCE), float(score), expected)
    return regret / requests, explored / requests


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.routing.exploration", description=__doc__
    )
    parser.add_argument("--worlds", type=int, default=40, help="(%(default)s)")
    parser.add_argument("--requests", type=int, default=5_000, help="(%(default)s)")
    parser.add_argument("--rate", type=float, default=0.1, help="(%(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    print(
        f"Python {platform.python_version()}, {options.worlds} worlds, {options.requests}", end=""
    )
    print(f" requests each, {options.rate:.0%} explored")
    table = Table("policy", "no exploration", "uniform", "by value", "by value - uniform", "ratio")
    worlds = [make_world(np.random.default_rng(options.seed + n)) for n in range(options.worlds)]
    for name in ("target 0.7", "penalty"):
        regrets: dict[str, list[float]] = {"none": [], "uniform": [], "value": []}
        for number, world in enumerate(worlds):
            penalty = Decimal("0.3") / world.costs[-1]
            policy = CheapestAboveTarget(0.7) if name != "penalty" else PenaltyByValue(penalty)
            explorers = {
                "none": UniformExplorer(0.0, number),
                "uniform": UniformExplorer(options.rate, number),
                "value": Explorer(options.rate, number),
            }
            for kind, explorer in explorers.items():
                regret, share = mean_regret(world, policy, explorer, options.requests, number)
                assert share <= options.rate + 1e-9, "more than the budget was explored"
                regrets[kind].append(regret)
        none, uniform, value = (np.array(values) for values in regrets.values())
        difference = value - uniform
        error = _Z * difference.std(ddof=1) / np.sqrt(len(worlds))
        table.add_row(
            name, f"{none.mean():.4f}", f"{uniform.mean():.4f}", f"{value.mean():.4f}",
            f"{difference.mean():+.4f} ± {error:.4f}", f"{value.mean() / uniform.mean():.2f}",
        )  # fmt: skip
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
