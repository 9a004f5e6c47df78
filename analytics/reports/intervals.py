"""How sure a total is: a paired bootstrap over random groups of requests.

Each request is a pair, its own cost and its baseline's, so their difference is
resampled, never two different sets. Requests fall into 256 groups by the last
two digits of their id, which are random; SQL sums each group, and the groups
are drawn anew with replacement, B times. The total is n * R, with
R = (sum of the groups' savings) / (sum of their requests): the number of
requests is given, what they save is in question. Its standard error is
n * sqrt(sum of (savings_g - R * requests_g)^2) / (sum of requests_g). The interval
is the bootstrap-t: from T - t[97.5 %] * se to T - t[2.5 %] * se, where t is
(T* - T) / se* of a replicate. It follows savings that are skewed, as most are,
better than percentiles of T* do.

Efron & Tibshirani, An Introduction to the Bootstrap (1993), chapter 12; random
groups and the ratio's variance: Wolter, Introduction to Variance Estimation
(2007), chapters 2 and 6.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


GROUPS = 256
LEVEL = 0.95
Z = 1.959964
"""How many standard errors either way hold a normal mean with that probability."""
# Fewer requests than this say too little about the next ones.
LEAST = 30
_REPLICATES = 4000
_SEED = 20_261_124
_PLACES = Decimal("1e-10")


@dataclass(frozen=True, slots=True)
class SavingsInterval:
    """Where a total lies with a probability of :data:`LEVEL`, in its own unit."""

    low: Decimal
    high: Decimal


def total_interval(groups: Sequence[tuple[int, Decimal]]) -> SavingsInterval | None:
    """Of the total saved; ``groups`` are each group's number of requests and their total.

    ``None`` where there are fewer than :data:`LEAST` requests. The same groups give
    the same interval.
    """
    counts = np.array([count for count, _ in groups], dtype=np.float64)
    totals = np.array([float(total) for _, total in groups], dtype=np.float64)
    n = counts.sum()
    if n < LEAST:
        return None
    # Groups without a request are groups too: which ones are empty is chance.
    missing = GROUPS - len(groups)
    counts, totals = np.pad(counts, (0, missing)), np.pad(totals, (0, missing))
    ratio, error = _estimate(np.ones((1, GROUPS)), counts, totals)
    ratios, errors = _estimate(_drawn(), counts, totals)
    known = errors > 0
    if not error[0] or not known.any():
        exact = _money(n * ratio[0])  # every request saved the same
        return SavingsInterval(exact, exact)
    t = (ratios[known] - ratio[0]) / errors[known]
    low, high = np.percentile(t, [2.5, 97.5])
    return SavingsInterval(
        _money(n * (ratio[0] - high * error[0])), _money(n * (ratio[0] - low * error[0]))
    )


def _estimate(drawn: Floats, counts: Floats, totals: Floats) -> tuple[Floats, Floats]:
    """Savings a request and their standard error, of each row of how often groups were drawn."""
    requests = np.maximum(drawn @ counts, 1)
    ratio = drawn @ totals / requests
    squares = drawn @ totals**2 - 2 * ratio * (drawn @ (totals * counts))
    squares += ratio**2 * (drawn @ counts**2)
    # What is left of a difference of equal numbers is no spread.
    noise = 1e-12 * (drawn @ totals**2)
    return ratio, np.where(squares > noise, np.sqrt(np.maximum(squares, 0)), 0) / requests


@lru_cache(maxsize=1)
def _drawn() -> Floats:
    """How often each group is drawn in each replicate; the same ones every time."""
    shares = np.full(GROUPS, 1 / GROUPS)
    drawn = np.random.default_rng(_SEED).multinomial(GROUPS, shares, size=_REPLICATES)
    return drawn.astype(np.float64)


def _money(value: np.float64) -> Decimal:
    return Decimal(repr(float(value))).quantize(_PLACES)
