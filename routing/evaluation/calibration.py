"""Calibration, whether "80 % likely good" comes true eight times in ten, and how well it orders."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from routing.evaluation.curves import Floats

BINS = 10


@dataclass(frozen=True, slots=True)
class Reliability:
    """Bins of equal size: mean ``predicted``, mean ``observed`` and ``count``, each (bins,).

    ``auc`` is how often a good answer had the higher prediction than a bad one, 0-1.
    """

    predicted: Floats
    observed: Floats
    count: NDArray[np.int64]
    auc: float

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
        auc_of(predicted, quality),
    )


def auc_of(predicted: Floats, quality: Floats) -> float:
    """Return the area under the ROC curve of correctness; ``nan`` if all answers are alike.

    An answer of quality 0.7 is 0.7 of a good one and 0.3 of a bad one. Equal predictions count
    half. Source: Hanley & McNeil 1982, "The meaning and use of the area under a ROC curve".
    """
    values, place = np.unique(predicted, return_inverse=True)
    good = np.bincount(place, quality, len(values))
    bad = np.bincount(place, 1 - quality, len(values))
    below = np.cumsum(bad) - bad
    alone = float((quality * (1 - quality)).sum())
    pairs = float(good.sum() * bad.sum()) - alone
    if pairs <= 0:
        return float("nan")
    return (float((good * (below + bad / 2)).sum()) - alone / 2) / pairs
