"""How often the 95 % intervals of savings hold what the levers truly saved."""

from __future__ import annotations

from zlib import crc32

import numpy as np

from benchmarks.levers.traffic import TRAFFIC, Traffic, one_lever, saving, several_levers
from routing.evaluation.lever_effects import IntervalOf, lever_effect, levers_together

SIZES = (300, 1000, 3000, 20_000)
SEVERAL = {
    "three levers at once": Traffic(saving(0)),
    "three levers at once, sessions": Traffic(saving(0), sessions=True),
}
Outcome = tuple[bool, bool, float] | None
"""Whether the truth lay below or above the interval, and the interval's width; ``None`` refused."""


def outcome(interval: IntervalOf | None, truth: float) -> Outcome:
    if interval is None:
        return None
    return truth < interval.low, truth > interval.high, interval.high - interval.low


def alone(name: str, n: int, rng: np.random.Generator) -> dict[str, Outcome]:
    rows, truth = one_lever(TRAFFIC[name], rng, n)
    effect = lever_effect(rows)
    found = outcome(effect.saving, truth)
    # Widths are shares of what the requests would have cost.
    spent = float(rows.cost[rows.treated].sum()) + truth
    return {name: None if found is None else (found[0], found[1], found[2] / spent)}


def several(name: str, n: int, rng: np.random.Generator) -> dict[str, Outcome]:
    logs, truths, every, truth = several_levers(SEVERAL[name], rng, n)
    effects = [lever_effect(log) for log in logs]
    found: dict[str, Outcome] = {
        f"{name}: lever {at + 1}": outcome(effect.saving, own)
        for at, (effect, own) in enumerate(zip(effects, truths, strict=True))
    }
    together = levers_together(every, effects)
    found[f"{name}: together"] = outcome(together.total, truth)
    if all(effect.saving is not None for effect in effects):
        found[f"{name}: remainder"] = outcome(together.remainder, truth - sum(truths))
    spent = float(every.cost.sum()) + truth
    return {
        key: None if one is None else (one[0], one[1], one[2] / spent) for key, one in found.items()
    }


def rows(logs: int, seed: int, only: str) -> None:
    """Print how often the truth was held, for each traffic and size."""
    print(f"{'traffic':40s} {'requests':>8s} {'held':>7s} {'±':>5s} {'below':>6s} {'above':>6s} "
          f"{'width':>6s} {'refused':>8s}")  # fmt: skip
    for name in [*TRAFFIC, *SEVERAL]:
        if only not in name:
            continue
        simulate = alone if name in TRAFFIC else several
        for n in SIZES:
            rng = np.random.default_rng([seed, n, crc32(name.encode())])
            results = [simulate(name, n, rng) for _ in range(logs)]
            for key in dict.fromkeys(key for result in results for key in result):
                _print(key, n, [result.get(key) for result in results])


def _print(key: str, n: int, results: list[Outcome]) -> None:
    given = np.array([one for one in results if one is not None], dtype=float)
    refused = 1 - len(given) / len(results)
    if len(given) < 100:
        print(f"{key:40s} {n:8d} {'refused':>7s} {'':38s} {refused:8.1%}", flush=True)
        return
    below, above, _ = given.mean(axis=0)
    held = 1 - below - above
    error = 1.96 * (held * (1 - held) / len(given)) ** 0.5
    print(f"{key:40s} {n:8d} {held:7.1%} {error:5.1%} {below:6.1%} {above:6.1%} "
          f"{np.median(given[:, 2]):6.1%} {refused:8.1%}", flush=True)  # fmt: skip
