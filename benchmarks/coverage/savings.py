"""How often the interval of savings holds the expected total, and the next one the next total."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from benchmarks.coverage.traffic import TRAFFIC, Log
from routing.evaluation.clustered import TooFewClusters, TotalInterval, total_interval


def interval_of(log: Log, rng: np.random.Generator) -> TotalInterval | None:
    try:
        return total_interval(log.clusters(rng))
    except TooFewClusters:
        return None


def held(
    make: Callable[[np.random.Generator, int], Log], n: int, rng: np.random.Generator
) -> bool | None:
    """Whether the interval holds the truth, which is ``n``; ``None`` where it is refused."""
    found = interval_of(make(rng, n), rng)
    return None if found is None else bool(found.low <= n <= found.high)


ROWS: dict[str, Callable[[int, np.random.Generator], bool | None]] = {
    f"savings: {name}": lambda n, rng, make=make: held(make, n, rng)  # type: ignore[misc]
    for name, make in TRAFFIC.items()
}
