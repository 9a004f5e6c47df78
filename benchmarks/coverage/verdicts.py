"""How often the interval of a difference in quality holds the truth: pairs, and ratings."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from benchmarks.coverage.traffic import DAYS, Floats, Labels
from routing.evaluation.bounded_mean import bounded_mean
from routing.evaluation.clustered import TooFewClusters

_GAIN = -0.03


def paired(users: int, apart: float) -> Callable[[int, np.random.Generator], bool | None]:
    """Verdicts of a judge (0, 0.5 or 1, against 0.5); users' prompts suit a model or do not."""

    def held(n: int, rng: np.random.Generator) -> bool | None:
        user = rng.integers(users, size=n)
        own = np.clip(apart * rng.normal(size=users), -0.45, 0.45)[user]
        win = np.clip(0.35 + _GAIN + own, 0, 0.7)
        draw = rng.random(n)
        gain = np.where(draw < win, 0.5, np.where(draw < 0.7, -0.5, 0.0))
        truth = float(_expected(apart))
        labels = {"user": user, "day": rng.integers(DAYS, size=n)}
        return _holds(gain, labels, truth)

    return held


def _expected(apart: float) -> float:
    own = np.clip(apart * np.random.default_rng(0).normal(size=200_000), -0.45, 0.45)
    win = np.clip(0.35 + _GAIN + own, 0, 0.7)
    return float((0.5 * win - 0.5 * (0.7 - win)).mean())


def _holds(values: Floats, labels: dict[str, Labels], truth: float) -> bool | None:
    try:
        _, low, high = bounded_mean(values, labels, -1.0)
    except TooFewClusters:
        return None
    return bool(low <= truth <= high)


ROWS: dict[str, Callable[[int, np.random.Generator], bool | None]] = {
    "quality: pairs, alike": paired(10**6, 0.0),
    "quality: pairs of 50 users": paired(50, 0.15),
    "quality: pairs of 200 users": paired(200, 0.25),
}
