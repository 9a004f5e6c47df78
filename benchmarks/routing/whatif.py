"""python -m benchmarks.routing.whatif: how often an estimate from the log holds the truth.

Logs are simulated whose truth is known: prompts of several kinds, models of
different quality and cost, a logging policy that leaves something to chance and
writes its propensities down, ratings that only some answers get. The policy to
be judged is another. Its true quality is worked out, and 95 % of the intervals
should hold it.
"""

from __future__ import annotations

import argparse
import platform
from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from routing.evaluation.off_policy import (
    LoggedOutcomes,
    PolicyOutcomes,
    Unsupported,
    estimate,
    predictions,
    rating_chance,
)

Floats = NDArray[np.float64]
_Z = 1.96
_KINDS, _MODELS = 8, 4


@dataclass(frozen=True)
class World:
    """``quality`` (kinds, models): the chance of a good answer; ``logging`` (kinds, models):
    propensities; ``rated`` (kinds, models): the chance that an answer is rated; ``target``
    (kinds,): what the policy chooses."""

    quality: Floats
    logging: Floats
    rated: Floats
    target: NDArray[np.intp]

    @property
    def truth(self) -> float:
        return float(self.quality[np.arange(_KINDS), self.target].mean())


def world(exploration: float, rated: float, uneven: bool, rng: np.random.Generator) -> World:
    ability = np.linspace(0.55, 0.9, _MODELS)
    hardness = rng.uniform(-0.25, 0.08, _KINDS)[:, None]
    quality = np.clip(ability + hardness + rng.normal(0, 0.05, (_KINDS, _MODELS)), 0.05, 0.98)
    favourite = rng.integers(_MODELS, size=_KINDS)
    logging = np.full((_KINDS, _MODELS), exploration / _MODELS)
    logging[np.arange(_KINDS), favourite] += 1 - exploration
    chance = np.full((_KINDS, _MODELS), rated)
    if uneven:
        chance = np.clip(rated * rng.uniform(0.3, 1.7, (_KINDS, _MODELS)), 0.02, 1)
    return World(quality, logging, chance, rng.integers(_MODELS, size=_KINDS))


def held(world: World, n: int, rng: np.random.Generator) -> bool | None:
    """Whether the interval from one log holds the truth; ``None`` where it was refused."""
    kind = rng.integers(_KINDS, size=n)
    chosen = (world.logging[kind].cumsum(axis=1) > rng.random((n, 1))).argmax(axis=1)
    good = (rng.random(n) < world.quality[kind, chosen]).astype(float)
    rated = rng.random(n) < world.rated[kind, chosen]
    target = world.target[kind]
    (at,) = np.nonzero(rated)
    known = LoggedOutcomes(at, kind[at], chosen[at], good[at], n)
    predicted = predictions(known, kind, target)
    agreed = chosen == target
    observed = np.where(agreed & rated, good, np.nan)
    chance = world.logging[kind, target] * rating_chance(rated, kind, chosen, of=target)
    try:
        found = estimate(PolicyOutcomes(predicted, observed, chance))
    except Unsupported:
        return None
    return found.low <= world.truth <= found.high


KINDS: dict[str, Callable[[np.random.Generator], World]] = {
    "explores half, all rated": lambda rng: world(0.5, 1.0, False, rng),
    "explores a fifth, all rated": lambda rng: world(0.2, 1.0, False, rng),
    "explores half, a third rated": lambda rng: world(0.5, 0.33, False, rng),
    "explores half, unevenly rated": lambda rng: world(0.5, 0.33, True, rng),
    "explores a twentieth, half rated": lambda rng: world(0.05, 0.5, False, rng),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.routing.whatif", description=__doc__
    )
    parser.add_argument("--logs", type=int, default=1000, help="simulated of each (%(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    print(f"Python {platform.python_version()}, numpy {np.__version__}, {options.logs} logs each")
    print(f"{'log':36s} {'requests':>8s} {'held the truth, in %':>22s} {'refused':>9s}")
    for name, make in KINDS.items():
        for n in (1000, 5000, 20_000):
            rng = np.random.default_rng(options.seed)
            found = [held(make(rng), n, rng) for _ in range(options.logs)]
            answered = [one for one in found if one is not None]
            share = float(np.mean(answered)) if answered else float("nan")
            error = _Z * sqrt(share * (1 - share) / max(len(answered), 1))
            refused = 1 - len(answered) / len(found)
            print(f"{name:36s} {n:8d} {share:14.1%} ± {error:.1%} {refused:9.1%}")


if __name__ == "__main__":
    main()
