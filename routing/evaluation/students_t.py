"""Quantiles of Student's t distribution, for any number of degrees of freedom.

The verifier of proofs, which is one file without dependencies, repeats these lines: a report's
figures must be the same there to the last place, which no library's version promises.
"""

from __future__ import annotations

from functools import lru_cache
from math import exp, lgamma, log, log1p

_STEPS = 300
_PRECISION = 1e-15
_TINY = 1e-300


@lru_cache(maxsize=4096)
def t_quantile(probability: float, freedom: float) -> float:
    """Return the value that Student's t is below with a probability above a half.

    Raise ``ValueError`` for a probability outside [0.5, 1) or a freedom that is not above zero.
    """
    if not 0.5 <= probability < 1 or not freedom > 0:
        raise ValueError("the probability must be in [0.5, 1), the freedom above zero")
    # The tail is half the incomplete beta function at x = freedom / (freedom + t^2).
    tail, low, high = 2 * (1 - probability), 0.0, 1.0
    while high - low > _PRECISION * high:
        middle = (low + high) / 2
        if middle in {low, high}:
            break
        if _incomplete_beta(freedom / 2, 0.5, middle) < tail:
            low = middle
        else:
            high = middle
    x = (low + high) / 2
    return float((freedom * (1 - x) / x) ** 0.5)


def _incomplete_beta(a: float, b: float, x: float) -> float:
    """Return the regularised incomplete beta function.

    By its continued fraction (Press et al., Numerical Recipes, 2007, section 6.4).
    """
    if x <= 0 or x >= 1:
        return float(x >= 1)
    front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x))
    if x < (a + 1) / (a + b + 2):
        return front * _fraction(a, b, x) / a
    return 1 - front * _fraction(b, a, 1 - x) / b


def _fraction(a: float, b: float, x: float) -> float:
    """Return the continued fraction by Lentz's method."""

    def kept(value: float) -> float:
        return value if abs(value) > _TINY else _TINY

    c, d = 1.0, 1 / kept(1 - (a + b) * x / (a + 1))
    result = d
    for m in range(1, _STEPS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        change = 1.0
        for term in (even, odd):
            d, c = 1 / kept(1 + term * d), kept(1 + term / c)
            change = d * c
            result *= change
        if abs(change - 1) < _PRECISION:
            break
    return result
