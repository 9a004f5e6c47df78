"""The confidence interval of a total: a paired bootstrap over random groups of requests.

Each request is a pair, its own cost and its baseline's, so the bootstrap resamples their
difference and never two separate sets. Requests fall into 256 groups by the last
two digits of their id, which are random. SQL sums each group, and the groups
are drawn again with replacement, B times. The total is n * R, with
R = (sum of the groups' savings) / (sum of their requests): the number of
requests is fixed, and what they save is estimated. Its standard error is
n * sqrt(sum of (savings_g - R * requests_g)^2) / (sum of requests_g). The interval
is the bootstrap-t: from T - t[97.5 %] * se to T - t[2.5 %] * se, where t is
(T* - T) / se* of a replicate. It fits skewed savings, as most are, better than
percentiles of T* do.

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
"""Standard errors on each side of a normal mean that hold it with that probability."""
MIN_REQUESTS = 30
"""With fewer requests, a total has no interval."""
_REPLICATES = 4000
_SEED = 20_261_124
_PLACES = Decimal("1e-10")
METHOD: dict[str, str | int | float] = {
    "name": "random-groups-bootstrap-t", "version": 1, "seed": _SEED, "replicates": _REPLICATES,
    "groups": GROUPS, "minimum": MIN_REQUESTS, "level": LEVEL,
}  # fmt: skip
"""What a proof says of the interval. Another method has another name, or a higher version and
a function of its own in ``analytics/proof/verify.py``."""


@dataclass(frozen=True, slots=True)
class SavingsInterval:
    """The interval of a total with the confidence :data:`LEVEL`, in the total's unit."""

    low: Decimal
    high: Decimal


def total_interval(groups: Sequence[tuple[int, Decimal]]) -> SavingsInterval | None:
    """Return the interval of a total; ``groups`` are (number of requests, their total).

    Return ``None`` for fewer than :data:`MIN_REQUESTS` requests. The same groups give
    the same interval.
    """
    counts = np.array([count for count, _ in groups], dtype=np.float64)
    totals = np.array([float(total) for _, total in groups], dtype=np.float64)
    n = counts.sum()
    if n < MIN_REQUESTS:
        return None
    # Groups without requests count too, as it is chance which groups are empty.
    missing = GROUPS - len(groups)
    counts, totals = np.pad(counts, (0, missing)), np.pad(totals, (0, missing))
    ratio, error = _estimate(np.ones((1, GROUPS)), counts, totals)
    ratios, errors = _estimate(_draws(), counts, totals)
    usable = errors > 0
    if not error[0] or not usable.any():
        exact = _money(n * ratio[0])  # every request saved the same
        return SavingsInterval(exact, exact)
    t = (ratios[usable] - ratio[0]) / errors[usable]
    low, high = np.percentile(t, [2.5, 97.5])
    return SavingsInterval(
        _money(n * (ratio[0] - high * error[0])), _money(n * (ratio[0] - low * error[0]))
    )


def _estimate(draws: Floats, counts: Floats, totals: Floats) -> tuple[Floats, Floats]:
    """Return the savings per request and their standard error, for each row of ``draws``.

    A row says how often each group was drawn.
    """
    requests = np.maximum(draws @ counts, 1)
    ratio = draws @ totals / requests
    squares = draws @ totals**2 - 2 * ratio * (draws @ (totals * counts))
    squares += ratio**2 * (draws @ counts**2)
    # Rounding errors of a difference of equal numbers must not count as spread.
    noise = 1e-12 * (draws @ totals**2)
    return ratio, np.where(squares > noise, np.sqrt(np.maximum(squares, 0)), 0) / requests


@lru_cache(maxsize=1)
def _draws() -> Floats:
    """Return how often each group is drawn in each replicate; the draws are always the same."""
    shares = np.full(GROUPS, 1 / GROUPS)
    counts = np.random.default_rng(_SEED).multinomial(GROUPS, shares, size=_REPLICATES)
    return counts.astype(np.float64)


def _money(value: np.float64) -> Decimal:
    return Decimal(repr(float(value))).quantize(_PLACES)
