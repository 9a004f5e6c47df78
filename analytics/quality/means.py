"""Means of scores with their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

from analytics.reports.cluster_labels import Origin, labels_of
from analytics.reports.intervals import Z
from routing.evaluation.bounded_mean import bounded_mean
from routing.evaluation.clustered import Floats, Labels, TooFewClusters

MIN_VERDICTS = 30
"""With fewer verdicts, quality has no interval."""
_PSEUDO = 2
"""Values added at each bound of a mean's interval (Agresti & Coull)."""
_PLACES = 6


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean with its 95 % interval; ``None`` for too few verdicts, or of too few sessions."""

    mean: float | None
    low: float | None
    high: float | None
    count: int


NO_MEAN = Mean(None, None, None, 0)


def mean_of(
    count: int, total: float, squares: float, *, minimum: float = 0.0, maximum: float = 1.0
) -> Mean:
    """Return the mean of ``count`` independent values with this sum and sum of squares.

    The values lie between ``minimum`` and ``maximum``. The interval is Wald's over the values
    and two more at each bound, so that a hundred equal verdicts are not taken as certain
    (Agresti & Coull 1998).
    """
    if not count:
        return NO_MEAN
    mean = total / count
    if count < MIN_VERDICTS:
        return Mean(round(mean, _PLACES), None, None, count)
    n = count + 2 * _PSEUDO
    centre = (total + _PSEUDO * (minimum + maximum)) / n
    second = (squares + _PSEUDO * (minimum**2 + maximum**2)) / n
    half = Z * sqrt(max(second - centre**2, 0.0) / n)
    low, high = max(minimum, centre - half), min(maximum, centre + half)
    return Mean(round(mean, _PLACES), round(low, _PLACES), round(high, _PLACES), count)


def mean_over(
    values: Floats,
    origins: Sequence[Origin],
    minimum: float = 0.0,
    labels: Labels | None = None,
) -> Mean:
    """Return the mean of ``values`` from ``minimum`` to 1, with the interval of their clusters.

    ``labels`` are those of ``origins``, where they are known already.
    """
    count = len(values)
    if not count:
        return NO_MEAN
    mean = round(float(values.mean()), _PLACES)
    if count < MIN_VERDICTS:
        return Mean(mean, None, None, count)
    try:
        _, low, high = bounded_mean(values, labels or labels_of(origins), minimum)
    except TooFewClusters:
        return Mean(mean, None, None, count)
    return Mean(mean, round(low, _PLACES), round(high, _PLACES), count)


def mean_between(bounds: tuple[float, float, float], count: int) -> Mean:
    """Return (mean, low, high) as a mean of ``count`` verdicts."""
    mean, low, high = (round(bound, _PLACES) for bound in bounds)
    return Mean(mean, low, high, count)
