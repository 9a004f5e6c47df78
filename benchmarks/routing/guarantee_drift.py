"""python -m benchmarks.routing.guarantee_drift: the guarantee while traffic changes.

Requests are simulated of which a tenth is judged, and the threshold is chosen again after every
fifty verdicts. Then the routed model changes: at once, slowly, or by the hour of the day. The
promise is broken if the mean loss of the requests that follow exceeds the tolerance. Beside it
stands the threshold from the latest 5 000 pairs without a look at change, and, for hours, a judge
whose budget is spent by the morning.
"""

from __future__ import annotations

import argparse
import platform
from collections.abc import Callable
from math import pi, sqrt

import numpy as np
from numpy.typing import NDArray

from routing.guarantee.calibration import (
    Calibration,
    Promise,
    calibrate,
    calibrate_now,
    window_start,
)

Floats = NDArray[np.float64]
_Z = 1.96
_TOLERANCE = 0.05
_BEFORE, _AFTER = 20_000, 20_000
_A_DAY = 2_000
_JUDGED = 0.1
_EVERY = 50
Choose = Callable[[Floats, Floats], Calibration]


def steady(at: NDArray[np.intp]) -> Floats:
    return np.zeros(len(at))


def sudden(at: NDArray[np.intp]) -> Floats:
    """The model is another one from one request to the next."""
    return np.where(at >= _BEFORE, 0.3, 0.0)


def slow(at: NDArray[np.intp]) -> Floats:
    """It gets worse over ten days."""
    return 0.3 * np.clip((at - _BEFORE) / _AFTER, 0, 1)


def daily(at: NDArray[np.intp]) -> Floats:
    """It is worse at night than by day: on average no better than promised."""
    return np.where(at >= _BEFORE, 0.08 - 0.08 * np.cos(2 * pi * (hour_of(at) - 8) / 24), 0.0)


def hour_of(at: NDArray[np.intp]) -> Floats:
    return np.asarray(24 * (at % _A_DAY) / _A_DAY)


def old(scores: Floats, losses: Floats) -> Calibration:
    return calibrate(scores[-5000:], losses[-5000:], Promise(_TOLERANCE))


def now(scores: Floats, losses: Floats) -> Calibration:
    start = window_start(len(scores), Promise(_TOLERANCE))
    return calibrate_now(scores[start:], losses[start:], Promise(_TOLERANCE))


def followed(
    worse: Callable[[NDArray[np.intp]], Floats],
    choose: Choose,
    rng: np.random.Generator,
    mornings: bool,
) -> tuple[float, float, float]:
    """The mean loss after the change, and the shares routed before and after it."""
    count = _BEFORE + _AFTER
    at = np.arange(count)
    scores = rng.beta(6, 2, count)
    lost = 0.25 * (0.75 - scores) + worse(at)
    draw = rng.random(count)
    losses = np.where(draw < 0.3 + lost, 0.5, np.where(draw > 0.7 + lost, -0.5, 0.0))
    hours = hour_of(at)
    judged = rng.random(count) < (_JUDGED * 3 if mornings else _JUDGED)
    judged &= (hours >= 4) & (hours < 12) if mornings else True
    (pairs,) = np.nonzero(judged)
    threshold, routed, seen = np.inf, np.zeros(count, dtype=bool), 0
    for begin in range(0, len(pairs), _EVERY):
        until = pairs[begin + _EVERY] if begin + _EVERY < len(pairs) else count
        routed[seen:until] = scores[seen:until] >= threshold
        seen = until
        known = pairs[pairs < until]
        calibration = choose(scores[known], losses[known])
        threshold = np.inf if calibration.threshold is None else calibration.threshold
    mean = float((lost * routed)[_BEFORE:].mean())
    return mean, float(routed[_BEFORE // 2 : _BEFORE].mean()), float(routed[_BEFORE:].mean())


STUDIES: dict[str, tuple[Callable[[NDArray[np.intp]], Floats], bool]] = {
    "none": (steady, False),
    "sudden: 0.3 worse at once": (sudden, False),
    "slow: 0.3 worse over ten days": (slow, False),
    "daily: 0 to 0.16 worse by the hour": (daily, False),
    "daily, judged in the mornings only": (daily, True),
}


def broken(study: str, choose: Choose, runs: int, seed: int) -> tuple[float, float, float, float]:
    """The share of runs that break the promise, mean loss, and shares routed before and after."""
    worse, mornings = STUDIES[study]
    rng = np.random.default_rng(seed)
    found = np.array([followed(worse, choose, rng, mornings) for _ in range(runs)])
    return float((found[:, 0] > _TOLERANCE).mean()), *map(float, found.mean(axis=0))


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.routing.guarantee_drift", description=__doc__
    )
    parser.add_argument("--runs", type=int, default=100, help="of each (%(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    print(f"Python {platform.python_version()}, numpy {np.__version__}, {options.runs} runs each,")
    print(f"{_BEFORE} requests before the change and {_AFTER} after, tolerance {_TOLERANCE}")
    print(
        f"{'change':36s} {'threshold':>12s} {'broken, in %':>14s} {'mean loss':>10s} "
        f"{'routed before':>14s} {'after':>6s}"
    )
    for study in STUDIES:
        for name, choose in (("watched", now), ("latest 5 000", old)):
            share, loss, before, after = broken(study, choose, options.runs, options.seed)
            error = _Z * sqrt(share * (1 - share) / options.runs)
            print(
                f"{study:36s} {name:>12s} {share:8.0%} ± {error:.0%} {loss:10.4f} {before:14.0%} "
                f"{after:6.0%}",
                flush=True,
            )


if __name__ == "__main__":
    main()
