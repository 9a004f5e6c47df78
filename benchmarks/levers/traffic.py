"""Simulated requests whose costs with and without a lever are known.

Costs are log-normal, and so is what sets a session apart. The expected cost, where it is known, is
off by a log-normal factor.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from routing.evaluation.clustered import Floats
from routing.evaluation.lever_effects import TrialRows

CONTROL = 0.05
JOINT = 0.01
SESSION = 10
"""Requests of a session on average."""
APART = 0.5
SIZE, OFF = 1.0, 0.6
"""Standard deviations of the logarithm: of expected costs, and of costs beside these."""
HEAVY_SIZE, HEAVY_OFF = 1.5, 0.8

Effect = Callable[[np.random.Generator, Floats], Floats]
"""The costs with the lever, from those without."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """One kind of traffic: what its requests cost, and what the lever makes of it."""

    effect: Effect
    sessions: bool = False
    size: float = SIZE
    off: float = OFF
    expected: str = "known"
    """"known", "unknown" or "useless" (it has nothing to do with the cost)."""
    control: float = CONTROL


def skewed(rng: np.random.Generator, n: int, sigma: float) -> Floats:
    return rng.lognormal(-(sigma**2) / 2, sigma, n)


def units_of(traffic: Traffic, rng: np.random.Generator, n: int) -> NDArray[np.intp]:
    if not traffic.sessions:
        return np.arange(n)
    return np.repeat(np.arange(n), rng.geometric(1 / SESSION, n))[:n]


def costs(
    traffic: Traffic, rng: np.random.Generator, unit: NDArray[np.intp]
) -> tuple[Floats, Floats]:
    """Return the expected costs and those without the lever."""
    n = len(unit)
    expected = skewed(rng, n, traffic.size)
    if traffic.sessions:
        expected = expected * skewed(rng, n, APART)[unit]
    without = expected * skewed(rng, n, traffic.off)
    if traffic.expected == "unknown":
        expected = np.full(n, np.nan)
    elif traffic.expected == "useless":
        expected = skewed(rng, n, SIZE)
    return expected, without


def one_lever(traffic: Traffic, rng: np.random.Generator, n: int) -> tuple[TrialRows, float]:
    """Return a log of ``n`` requests and what the lever truly saved in it."""
    unit = units_of(traffic, rng, n)
    expected, without = costs(traffic, rng, unit)
    changed = traffic.effect(rng, without)
    treated = (rng.random(n) >= traffic.control)[unit]
    rows = TrialRows(
        np.where(treated, changed, without), treated, np.full(n, 1 - traffic.control), unit,
        expected, np.zeros(n, dtype=np.bool_), np.full(n, np.nan),
    )  # fmt: skip
    return rows, float((without - changed)[treated].sum())


def several_levers(
    traffic: Traffic, rng: np.random.Generator, n: int, effects: tuple[float, ...] = (0.3, 0.1, 0.2)
) -> tuple[list[TrialRows], list[float], TrialRows, float]:
    """Return each lever's rows and truth, and those of all together.

    Each acts on three in five requests; they take their shares one after the other.
    """
    unit = units_of(traffic, rng, n)
    expected, without = costs(traffic, rng, unit)
    joint = (rng.random(n) < JOINT)[unit]
    eligible = [rng.random(n) < 0.6 for _ in effects]
    drawn = [(rng.random(n) >= traffic.control)[unit] & ~joint for _ in effects]
    used = [can & arm for can, arm in zip(eligible, drawn, strict=True)]
    factors = [np.where(acts, 1 - e, 1.0) for acts, e in zip(used, effects, strict=True)]
    cost = without * np.prod(factors, axis=0)
    none = np.full(n, np.nan)
    logs, truths = [], []
    for can, acts, factor in zip(eligible, used, factors, strict=True):
        rows = TrialRows(cost, acts, np.full(n, 1 - traffic.control), unit, expected, joint, none)
        logs.append(rows.of(can))
        truths.append(float((cost / factor - cost)[acts].sum()))
    some = np.any(eligible, axis=0)
    together = TrialRows(cost, ~joint, np.full(n, 1 - JOINT), unit, expected, joint, none)
    return logs, truths, together.of(some), float((without - cost)[some & ~joint].sum())


def saving(share: float) -> Effect:
    return lambda _rng, cost: cost * (1 - share)


def _uneven(rng: np.random.Generator, cost: Floats) -> Floats:
    return np.asarray(cost * (1 - np.clip(rng.normal(0.2, 0.4, len(cost)), -1, 0.95)))


def _dear_ones(rng: np.random.Generator, cost: Floats) -> Floats:
    return np.asarray(np.where(cost > np.median(cost), cost * 0.5, cost * 1.1))


def _cascade(rng: np.random.Generator, cost: Floats) -> Floats:
    return np.where(rng.random(len(cost)) < 0.7, cost * 0.15, cost * 1.2)


def _hits(rng: np.random.Generator, cost: Floats) -> Floats:
    return np.where(rng.random(len(cost)) < 0.3, 0.0, cost)


TRAFFIC: dict[str, Traffic] = {
    "saves 30 %": Traffic(saving(0.3)),
    "no effect": Traffic(saving(0.0)),
    "costs 10 % more": Traffic(saving(-0.1)),
    "expected costs unknown": Traffic(saving(0.3), expected="unknown"),
    "expected costs useless": Traffic(saving(0.3), expected="useless"),
    "sessions": Traffic(saving(0.3), sessions=True),
    "sessions, no effect, costs unknown": Traffic(saving(0), sessions=True, expected="unknown"),
    "heavy-tailed costs": Traffic(saving(0.3), size=HEAVY_SIZE, off=HEAVY_OFF),
    "heavy-tailed, costs unknown": Traffic(
        saving(0.3), size=HEAVY_SIZE, off=HEAVY_OFF, expected="unknown"
    ),
    "heavy-tailed sessions": Traffic(
        saving(0.3), sessions=True, size=HEAVY_SIZE, off=HEAVY_OFF
    ),
    "uneven effects": Traffic(_uneven),
    "saves on the dear half": Traffic(_dear_ones),
    "cascade": Traffic(_cascade),
    "cascade, costs unknown": Traffic(_cascade, expected="unknown"),
    "a third costs nothing": Traffic(_hits, expected="unknown"),
    "all cost nothing": Traffic(saving(1.0)),
    "half is left alone": Traffic(saving(0.3), control=0.5),
}  # fmt: skip
