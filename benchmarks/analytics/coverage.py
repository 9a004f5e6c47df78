"""python -m benchmarks.analytics.coverage: how often the interval of the savings holds the truth.

Logs are simulated whose expected saving a request is known exactly. A log's
interval should hold n times that in 95 % of logs. The kinds of traffic are made
to be hard: savings a thousand times larger on a few requests, half of them
losses, hits among misses, a log of a handful of requests.
"""

from __future__ import annotations

import argparse
import platform
import uuid
from collections import defaultdict
from collections.abc import Callable
from decimal import Decimal
from math import exp, sqrt

import numpy as np
from numpy.typing import NDArray

from analytics.reports.intervals import total_interval

Savings = NDArray[np.float64]
_Z = 1.96


def _log_normal(sigma: float) -> tuple[Callable[[np.random.Generator, int], Savings], float]:
    return lambda rng, n: rng.lognormal(0, sigma, n), exp(sigma**2 / 2)


def _losses(rng: np.random.Generator, n: int) -> Savings:
    return np.where(rng.random(n) < 0.5, rng.exponential(1.2, n), -rng.exponential(1.0, n))


def _hits(rng: np.random.Generator, n: int) -> Savings:
    return np.where(rng.random(n) < 0.1, rng.gamma(2, 3, n), rng.normal(0.1, 0.5, n))


KINDS: dict[str, tuple[Callable[[np.random.Generator, int], Savings], float]] = {
    "every request alike": (lambda rng, n: rng.normal(1, 0.2, n), 1.0),
    "some ten times larger (log-normal, 1)": _log_normal(1.0),
    "some hundred times larger (log-normal, 1.5)": _log_normal(1.5),
    "half of them losses": (_losses, 0.1),
    "cache hits among misses": (_hits, 0.1 * 6 + 0.9 * 0.1),
}


def grouped(savings: Savings, rng: np.random.Generator) -> list[tuple[int, Decimal]]:
    """As the database sums them, by the last two digits of random ids."""
    groups: dict[str, list[float]] = defaultdict(list)
    for saved in savings:
        groups[uuid.UUID(bytes=rng.bytes(16)).hex[-2:]].append(saved)
    return [(len(members), Decimal(str(sum(members)))) for members in groups.values()]


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.analytics.coverage", description=__doc__
    )
    parser.add_argument("--logs", type=int, default=1000, help="simulated of each (%(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    print(f"Python {platform.python_version()}, numpy {np.__version__}, {options.logs} logs each")
    print(f"{'traffic':46s} {'requests':>8s}  {'held the truth, in %':>22s}")
    rng = np.random.default_rng(options.seed)
    for name, (draw, mean) in KINDS.items():
        for size in (50, 300, 3000):
            held = 0
            for _ in range(options.logs):
                found = total_interval(grouped(draw(rng, size), rng))
                assert found is not None
                held += float(found.low) <= size * mean <= float(found.high)
            share = held / options.logs
            error = _Z * sqrt(share * (1 - share) / options.logs)
            print(f"{name:46s} {size:8d}  {share:10.1%} ± {error:.1%}")


if __name__ == "__main__":
    main()
