"""Calibration, whether "80 % likely good" comes true eight times in ten, and how well it orders."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from routing.evaluation.curves import Floats

BINS = 10


@dataclass(frozen=True, slots=True)
class Reliability:
    """Bins of equal weight: mean ``predicted``, mean ``observed`` and ``count``, each (bins,).

    ``auc`` is how often a good answer had the higher prediction than a bad one, 0-1.
    """

    predicted: Floats
    observed: Floats
    count: Floats
    auc: float

    @property
    def error(self) -> float:
        """Return the expected calibration error: the mean of ``|observed - predicted|`` by bin.

        Bins are weighted by their count. Source: Naeini et al. 2015, "Obtaining Well
        Calibrated Probabilities Using Bayesian Binning", with bins of equal size.
        """
        return float(np.average(np.abs(self.observed - self.predicted), weights=self.count))


def reliability(
    predicted: Floats, quality: Floats, bins: int = BINS, weights: Floats | None = None
) -> Reliability:
    """Sort predictions into bins. ``predicted`` and ``quality`` are (n,), 0-1.

    ``weights`` (n,) is how much each counts; the bins then have about the same weight.
    """
    order = np.argsort(predicted, kind="stable")
    if weights is None:
        weights = np.ones(len(predicted))
        groups = [g for g in np.array_split(order, bins) if len(g)]
    else:
        before = np.cumsum(weights[order]) - weights[order]
        bin_of = np.minimum((before / weights.sum() * bins).astype(int), bins - 1)
        groups = [order[bin_of == b] for b in range(bins) if (bin_of == b).any()]
    return Reliability(
        np.array([np.average(predicted[g], weights=weights[g]) for g in groups]),
        np.array([np.average(quality[g], weights=weights[g]) for g in groups]),
        np.array([weights[g].sum() for g in groups]),
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
