"""Notices that the mean loss has come to exceed what was promised: an e-detector.

If the mean of the values is at most ``limit`` at all times, each factor 1 + stake (x - limit) has
an expectation of at most 1. The product of the factors since the start that makes it largest
(CUSUM) grows only while the mean exceeds the limit, so a large product is evidence that the
values have changed, whenever that was. Three stakes are averaged: small excesses need small
ones. Its mean time to a false alarm at level c is at least c values, whatever their distribution
(Shin, Ramdas & Rinaldo, "E-detectors: a nonparametric framework for sequential change
detection", 2023, section 3).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

DOUBT = 8.0
"""Evidence now at which the promise is in doubt."""
CHANGE = 1000.0
"""Evidence at any time at which the values before it no longer count."""
_STAKES = np.array([0.1, 0.4, 1.2])


@dataclass(frozen=True, slots=True)
class Drift:
    """The ``evidence`` now, and where the values ``since`` the last change begin."""

    evidence: float
    since: int


NO_DRIFT = Drift(1.0, 0)


def drift_of(values: Floats, limit: float) -> Drift:
    """Return whether the mean of ``values`` (n,), each 0-1 and in their order, exceeds ``limit``.

    ``limit`` is below 0.8, so that no value makes a factor negative.
    """
    if not len(values):
        return NO_DRIFT
    factors = np.log1p(_STAKES[:, None] * (values - limit))
    sums = np.concatenate((np.zeros((len(_STAKES), 1)), np.cumsum(factors, axis=1)), axis=1)
    lowest = np.minimum.accumulate(sums[:, :-1], axis=1)
    evidence = np.exp(np.minimum(sums[:, 1:] - lowest, 700.0))
    together = evidence.mean(axis=0)
    (alarms,) = np.nonzero(together >= CHANGE)
    since = 0
    if len(alarms):
        # The change is where the strongest product before the last alarm begins.
        last = int(alarms[-1])
        since = int(np.argmin(sums[int(evidence[:, last].argmax()), : last + 1]))
    return Drift(float(together[-1]), since)
