"""Calibration: whether "80 % likely good" comes true eight times in ten."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from routing.evaluation.curves import Floats

BINS = 10


@dataclass(frozen=True, slots=True)
class Reliability:
    """Bins of equal size: mean ``predicted``, mean ``observed`` and ``count``, each (bins,)."""

    predicted: Floats
    observed: Floats
    count: NDArray[np.int64]

    @property
    def error(self) -> float:
        """Return the expected calibration error: the mean of ``|observed - predicted|`` by bin.

        Bins are weighted by their count. Source: Naeini et al. 2015, "Obtaining Well
        Calibrated Probabilities Using Bayesian Binning", with bins of equal size.
        """
        return float(np.average(np.abs(self.observed - self.predicted), weights=self.count))


def reliability(predicted: Floats, quality: Floats, bins: int = BINS) -> Reliability:
    """Sort predictions into bins. ``predicted`` and ``quality`` are (n,), 0-1."""
    groups = [g for g in np.array_split(np.argsort(predicted, kind="stable"), bins) if len(g)]
    return Reliability(
        np.array([predicted[g].mean() for g in groups]),
        np.array([quality[g].mean() for g in groups]),
        np.array([len(g) for g in groups]),
    )
