"""python -m benchmarks.routing.experiments: false alarms of an experiment that is looked at often.

Experiments are simulated in which users are split, each with some requests that
resemble each other, and looked at after every hundred users. Without a
difference, how often does one look show one? With a difference as large as was
planned for, how often is it shown, and after how many users?
"""

from __future__ import annotations

import argparse
import platform
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from routing.evaluation.sequential import ArmSums, compare, units_needed

Floats = NDArray[np.float64]
_Z = 1.959964
_EVERY = 100


def users(rng: np.random.Generator, n: int, factor: float) -> tuple[Floats, Floats]:
    """Each user's total cost and number of requests: a few users ask and cost far more."""
    count = rng.geometric(0.2, n).astype(float)
    own = rng.lognormal(0, 0.7, n)
    cost = np.array([rng.lognormal(0, 1, int(c)).sum() for c in count])
    return factor * own * cost, count


def sums(total: Floats, count: Floats) -> list[ArmSums]:
    """After each user, in their order."""
    columns = [np.cumsum(values) for values in (total, count, total**2, count**2, total * count)]
    return [ArmSums(at + 1, *(float(column[at]) for column in columns)) for at in range(len(total))]


def looks(rng: np.random.Generator, most: int, factor: float, planned: int) -> tuple[int, int]:
    """After how many users the sequence, and a plain test, first show a difference; 0: never."""
    treated = rng.random(most) < 0.5
    one = sums(*users(rng, int((~treated).sum()), 1.0))
    other = sums(*users(rng, int(treated.sum()), factor))
    sequence = plain = 0
    for seen in range(_EVERY, most + 1, _EVERY):
        m = int(treated[:seen].sum())
        if min(m, seen - m) < 50:
            continue
        control, treatment = one[seen - m - 1], other[m - 1]
        found = compare(control, treatment, planned)
        assert found.low is not None
        assert found.high is not None
        assert found.difference is not None
        if not sequence and (found.low > 0 or found.high < 0):
            sequence = seen
        error = sqrt(control.variance + treatment.variance)
        if not plain and abs(found.difference) > _Z * error:
            plain = seen
    return sequence, plain


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.routing.experiments", description=__doc__
    )
    parser.add_argument("--experiments", type=int, default=500, help="(%(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    print(f"Python {platform.python_version()}, {options.experiments} experiments each, a look")
    print(f"after every {_EVERY} of 10 000 users")
    found = [looks(rng, 10_000, 1.0, 2000) for _ in range(options.experiments)]
    for name, at in (("sequence", 0), ("plain test", 1)):
        share = np.mean([bool(one[at]) for one in found])
        error = _Z * sqrt(share * (1 - share) / options.experiments)
        print(f"  no difference: {name:10s} finds one in {share:6.1%} ± {error:.1%}")
    past = sums(*users(rng, 20_000, 1.0))[-1]
    for effect in (0.1, 0.2, 0.4):
        assert past.mean is not None
        needed = units_needed(past.variance * past.units, effect * past.mean)
        times = options.experiments // 5
        shown = [at for _ in range(times) if (at := looks(rng, needed, 1 - effect, needed)[0])]
        print(
            f"  {effect:.0%} cheaper: {needed:6d} users planned; shown in "
            f"{len(shown) / times:.0%}, half of them after {np.median(shown):.0f}"
        )


if __name__ == "__main__":
    main()
