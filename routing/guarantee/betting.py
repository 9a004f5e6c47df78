"""How sure it is that a mean is small: a test by betting, exact for any number of values.

Values lie between 0 and 1, in exchangeable order. Whoever doubts that their mean
is at most ``mean`` bets a part of the capital on each value being smaller; if
the mean were larger, the capital would be a supermartingale, so it reaches
1 / delta with a probability of at most delta (Ville). The stakes are those of
Waudby-Smith & Ramdas, "Estimating means of bounded random variables by betting"
(JRSS B, 2024), section 3.2 with the predictable plug-in of their equation 26, and
for a finite population drawn without replacement section 5. The number of
values need not be known beforehand.
"""

from __future__ import annotations

from math import log

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_BOLDEST = 0.75
_STEPS = 40


def is_smaller(values: Floats, mean: float, delta: float, population: float = np.inf) -> bool:
    """Whether the mean of the population is below ``mean``, wrongly so with at most ``delta``.

    ``values``, shape (n,), are the first of ``population`` values (infinite: draws
    from a distribution).
    """
    n = len(values)
    if n == 0 or not mean > 0:
        return False
    order = np.arange(n)
    before = np.concatenate(([0.0], np.cumsum(values)[:-1]))
    if np.isfinite(population):
        # What the rest must average for the whole to have this mean.
        left = (population * mean - before) / (population - order)
    else:
        left = np.full(n, mean)
    if (left <= 0).any():
        # The values seen add up to more than all of them were to.
        return False
    stakes = _stakes(values, before, order, delta)
    # Beyond 1 the rest cannot average: the bet is then as safe as it can be.
    limit = _BOLDEST / np.maximum(1 - left, 1e-12)
    stakes = np.minimum(stakes, limit)
    capital = np.cumsum(np.log1p(-np.clip(stakes * (values - left), None, 1 - 1e-12)))
    return bool(capital.max() >= log(1 / delta))


def upper_bound(values: Floats, delta: float, population: float = np.inf) -> float:
    """The smallest bound that the mean is below, wrongly so with at most ``delta``; 1 at most."""
    low, high = float(values.mean()) if len(values) else 0.0, 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if is_smaller(values, middle, delta, population):
            high = middle
        else:
            low = middle
    return high


def _stakes(values: Floats, before: Floats, order: NDArray[np.intp], delta: float) -> Floats:
    """Each from the values before it alone: larger where these vary little."""
    means = (0.5 + before + values) / (order + 2)
    spread = np.cumsum((values - means) ** 2)
    variance = (0.25 + np.concatenate(([0.0], spread[:-1]))) / (order + 1)
    return np.sqrt(2 * log(1 / delta) / (variance * len(values)))
