"""How often harm to quality is stopped before it has spoiled more answers than the budget.

Answers come one by one; a share of them gets a score, or a pair of scores of the same prompt. The
watch looks at :data:`LOOKS`. A harm is "in time" if it is stopped before the budget is spent.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from zlib import crc32

import numpy as np

from benchmarks.levers.traffic import CONTROL
from optimizer.domain.levers import RAMP_SHARE
from routing.evaluation.clustered import Floats
from routing.evaluation.harm_watch import (
    Observations,
    ScoredUnits,
    harm_verdict,
    pair_observations,
    smallest_harm,
)
from routing.evaluation.lever_effects import TrialRows, lever_effect

LOOKS = np.unique(np.geomspace(40, 40_000, 60).astype(int))
"""Requests after which the watch looks; in use it looks every minute."""
QUALITY, SPREAD = 0.8, 0.25
"""Mean and standard deviation of the scores of untreated answers, before they are cut to 0-1."""


@dataclass(frozen=True, slots=True)
class Watch:
    """A lever that costs ``harm`` points of quality, and how it is watched."""

    harm: float
    budget: float
    rated: float
    pairs: float = 0.0
    ramp: bool = False
    binary: bool = False


@dataclass(frozen=True, slots=True)
class Stopped:
    """Whether it was stopped at all, before the budget was spent, and whether it ramped up."""

    stopped: bool
    in_time: bool
    released: bool
    spoiled: float


def scores(rng: np.random.Generator, watch: Watch, treated: np.ndarray) -> Floats:
    mean = np.where(treated, QUALITY - watch.harm, QUALITY)
    if watch.binary:
        return (rng.random(len(mean)) < mean).astype(float)
    # Beta scores have the very mean, and never leave 0-1.
    size = QUALITY * (1 - QUALITY) / SPREAD**2 - 1
    return rng.beta(np.maximum(mean, 1e-3) * size, (1 - mean) * size)


def watched(watch: Watch, rng: np.random.Generator) -> Stopped:
    """Run one lever until it is stopped, or for all requests."""
    released, before, treated_so_far = not watch.ramp, 0, 0
    score, arm, chance = (np.zeros(0) for _ in range(3))
    pairs: list[Floats] = []
    for look in LOOKS:
        each, before = look - before, look
        p = 1 - CONTROL if released else 1 - RAMP_SHARE
        treated = rng.random(each) < p
        treated_so_far += int(treated.sum())
        rated = rng.random(each) < watch.rated
        arm = np.append(arm, treated[rated])
        score = np.append(score, scores(rng, watch, treated[rated]))
        chance = np.append(chance, np.full(rated.sum(), p))
        paired = rng.random(each) < watch.pairs
        pairs.append(np.stack([scores(rng, watch, np.full(paired.sum(), used))
                               for used in (True, False)]))  # fmt: skip
        seen: list[Observations] = [ScoredUnits(score, arm.astype(bool), chance).observations()]
        if watch.pairs:
            seen.append(pair_observations(*np.concatenate(pairs, axis=1)))
        verdict = harm_verdict(
            seen, treated_so_far, watch.budget, ramping=not released, release=smallest(watch)
        )
        spoiled = max(watch.harm, 0.0) * treated_so_far
        if verdict.stop:
            return Stopped(True, spoiled <= watch.budget, released, spoiled)
        released = released or verdict.released
    return Stopped(False, spoiled <= watch.budget, released, spoiled)


def smallest(watch: Watch) -> float:
    """The smallest harm that is stopped in time."""
    variance = QUALITY * (1 - QUALITY) if watch.binary else SPREAD**2
    return smallest_harm(
        watch.budget, watch.rated, variance, RAMP_SHARE if watch.ramp else CONTROL,
        paired=watch.pairs, pair_variance=2 * variance,
    )  # fmt: skip


SETTINGS: dict[str, Watch] = {
    "5 % alone, a fifth rated": Watch(0, 1000, 0.2),
    "5 % alone, a tenth in pairs": Watch(0, 500, 0, 0.1),
    "5 % alone, a twentieth rated and in pairs": Watch(0, 1000, 0.05, 0.05),
    "ramp, a fifth rated": Watch(0, 200, 0.2, 0, True),
    "ramp, a fifth rated, good or bad": Watch(0, 500, 0.2, 0, True, True),
    "ramp, a twentieth rated": Watch(0, 1000, 0.05, 0, True),
    "ramp, a tenth rated and in pairs": Watch(0, 200, 0.1, 0.1, True),
    "ramp, all in pairs": Watch(0, 50, 0, 1.0, True),
}
TIMES_SMALLEST = (-0.5, 0.0, 1.0, 1.5, 3.0)


def rows(runs: int, seed: int, only: str) -> None:
    """Print how often each lever is stopped, and in time."""
    print(f"{'lever':44s} {'budget':>6s} {'harm':>7s} {'':>8s} {'stopped':>8s} "
          f"{'budget held':>12s} {'released':>9s} {'spoiled':>8s}")  # fmt: skip
    for name, setting in SETTINGS.items():
        if only not in name:
            continue
        for times in TIMES_SMALLEST:
            harm = times * smallest(setting)
            if harm > QUALITY:
                continue
            watch = replace(setting, harm=max(harm, QUALITY - 0.95))
            rng = np.random.default_rng([seed, crc32(name.encode())])
            ends = [watched(watch, rng) for _ in range(runs)]
            shares = [np.mean([getattr(end, field) for end in ends])
                      for field in ("stopped", "in_time", "released")]  # fmt: skip
            spoiled = np.quantile([end.spoiled for end in ends], 0.95)
            print(f"{name:44s} {watch.budget:6g} {watch.harm:7.3f} {times:7.1f}x {shares[0]:8.1%} "
                  f"{shares[1]:12.1%} {shares[2]:9.1%} {spoiled:8.0f}", flush=True)  # fmt: skip


def quality_rows(logs: int, seed: int, only: str) -> None:
    """Print how often the interval of quality holds the true difference."""
    print(f"{'scores':40s} {'rated':>8s} {'held':>7s} {'refused':>8s}")
    for name, binary, session in (("graded", False, 1), ("good or bad", True, 1),
                                  ("graded, sessions of 3", False, 3)):  # fmt: skip
        for n in (1000, 3000, 10_000):
            if only not in name:
                continue
            rng = np.random.default_rng([seed, n])
            held = []
            for _ in range(logs):
                unit = np.arange(n) // session
                treated = (rng.random(n) >= CONTROL)[unit]
                watch = Watch(0.05, 1, 1, binary=binary)
                score = scores(rng, watch, treated)
                own = rng.normal(0, 0.1, n)[unit] if session > 1 else 0.0
                effect = lever_effect(TrialRows(
                    np.ones(n), treated, np.full(n, 1 - CONTROL), unit, np.full(n, np.nan),
                    np.zeros(n, dtype=bool), score + own,
                ))  # fmt: skip
                if effect.quality is not None:
                    held.append(effect.quality.low <= -0.05 <= effect.quality.high)
            share = np.mean(held) if held else float("nan")
            print(f"{name:40s} {n:8d} {share:7.1%} {1 - len(held) / logs:8.1%}", flush=True)
