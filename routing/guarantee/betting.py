"""A test by betting that a mean is small, exact for any number of values.

Values lie between 0 and 1, in exchangeable order. A bettor stakes a part of the
capital on each value being smaller than ``mean``. If the true mean were at least
``mean``, the capital would be a supermartingale, so it would reach 1 / delta with
a probability of at most delta (Ville). The stakes are those of
Waudby-Smith & Ramdas, "Estimating means of bounded random variables by betting"
(JRSS B, 2024), section 3.2 with the predictable plug-in of their equation 26, and
for a finite population drawn without replacement section 5. A sequential test has stakes that do
not depend on the number of values (their equation 24): it may be looked at after each value.
"""

from __future__ import annotations

from math import log

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_MAX_LOSS = 0.75
"""Most of the capital that one bet can lose."""
_STEPS = 40
"""Bisections of the interval that holds the bound."""


def is_smaller(
    values: Floats,
    mean: float,
    delta: float,
    population: float = np.inf,
    *,
    sequential: bool = False,
) -> bool:
    """Return whether the population's mean is surely below ``mean``.

    A wrong ``True`` has a probability of at most ``delta``. ``values``, shape (n,), are
    the first of ``population`` values (infinite: draws from a distribution). A ``sequential``
    test is wrong with that probability at any time, however often it is repeated with more
    values.
    """
    n = len(values)
    if n == 0 or not mean > 0:
        return False
    order = np.arange(n)
    before = np.concatenate(([0.0], np.cumsum(values)[:-1]))
    if np.isfinite(population):
        # The mean of the remaining values if the whole population has this mean.
        remaining = (population * mean - before) / (population - order)
    else:
        remaining = np.full(n, mean)
    if (remaining <= 0).any():
        # The values so far already add up to more than the whole population may.
        return False
    stakes = _stakes(values, before, order, delta, sequential)
    # No value exceeds a remaining mean of 1 or more, so the stake then needs no limit.
    limit = _MAX_LOSS / np.maximum(1 - remaining, 1e-12)
    stakes = np.minimum(stakes, limit)
    capital = np.cumsum(np.log1p(-np.clip(stakes * (values - remaining), None, 1 - 1e-12)))
    # Repeated tests go by the capital as it is: what was won before a change may be lost again.
    final = capital[-1] if sequential else capital.max()
    return bool(final >= log(1 / delta))


def upper_bound(
    values: Floats,
    delta: float,
    population: float = np.inf,
    *,
    sequential: bool = False,
    steps: int = _STEPS,
) -> float:
    """Return the smallest upper bound of the mean, at most 1.

    The mean is above the bound with a probability of at most ``delta``. ``steps`` halve the
    interval that holds the bound.
    """
    low, high = float(values.mean()) if len(values) else 0.0, 1.0
    for _ in range(steps):
        middle = (low + high) / 2
        if is_smaller(values, middle, delta, population, sequential=sequential):
            high = middle
        else:
            low = middle
    return high


def _stakes(
    values: Floats, before: Floats, order: NDArray[np.intp], delta: float, sequential: bool
) -> Floats:
    """Return the stakes, each from the values before it alone: larger if these vary little."""
    means = (0.5 + before + values) / (order + 2)
    spread = np.cumsum((values - means) ** 2)
    variance = (0.25 + np.concatenate(([0.0], spread[:-1]))) / (order + 1)
    horizon = (order + 1) * np.log(order + 2) if sequential else float(len(values))
    return np.asarray(np.sqrt(2 * log(1 / delta) / (variance * horizon)))
