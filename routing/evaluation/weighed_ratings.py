"""The quality of a router beside its baseline, from ratings weighed by logged propensities.

Ratings of two models can't be compared as they come: within a kind of prompt too, the router
gives the harder prompts to the better model. If chance had a part in its choice, each rating
of the baseline's model stands for 1 / (p c) requests, with p the propensity of the baseline's
model on that request, which was logged, and c the chance that its answer is rated. The mean of
all requests had the baseline's model answered them is estimated by (Hajek's ratio)

    B = sum of w s / sum of w,    w = [the baseline's model answered] / (p c)

and that of the answers as they were with w = 1 / c. Where the baseline's model had no chance,
nothing is known of its answers; the interval admits every quality there, and if that is so for
more than :data:`MOST_UNSUPPORTED` of the requests, there is no verdict. The variance is by
linearisation, over clusters (:mod:`routing.evaluation.clustered`).

Hernan & Robins, Causal Inference: What If (2020), chapter 12.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from routing.evaluation.clustered import Floats, Labels, TooFewClusters, mean_interval
from routing.evaluation.off_policy import MOST_UNSUPPORTED

FEWEST_EFFECTIVE = 30.0
"""Equally weighed ratings that the ratings of either must be worth (Kish 1965)."""


@dataclass(frozen=True, slots=True)
class WeighedRatings:
    """Ratings of answers, each of shape (n,).

    ``score`` is 0-1, ``chance`` that of being rated, ``propensity`` the baseline's model's;
    ``same`` says whether the baseline's model answered.
    """

    score: Floats
    chance: Floats
    propensity: Floats
    same: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class RatedDifference:
    """Means with their 95 % intervals, as (mean, low, high): routed less baseline, and baseline."""

    difference: tuple[float, float, float]
    baseline: tuple[float, float, float]


def rated_difference(ratings: WeighedRatings, labels: Labels) -> RatedDifference | None:
    """Compare the answers as they were with the baseline's; ``None`` if the ratings cannot say.

    ``labels`` name the clusters of each rating.
    """
    supported = ratings.propensity > 0
    routed = 1 / ratings.chance
    counted = supported & ratings.same
    divisor = np.where(counted, ratings.propensity * ratings.chance, 1.0)
    baseline = np.where(counted, 1 / divisor, 0.0)
    if not len(routed) or min(effective(routed), effective(baseline)) < FEWEST_EFFECTIVE:
        return None
    unsupported = float(routed[~supported].sum() / routed.sum())
    if unsupported > MOST_UNSUPPORTED:
        return None
    was, had = _Weighed(ratings.score, routed), _Weighed(ratings.score, baseline)
    try:
        low, high = _bounds(was.parts - had.parts, [*was.added, *-had.added], labels)
        had_low, had_high = _bounds(had.parts, list(had.added), labels)
    except TooFewClusters:
        return None
    gain, below, above = was.mean - had.mean, unsupported * (1 - had.mean), unsupported * had.mean
    return RatedDifference(
        (gain, max(-1.0, gain + low - below), min(1.0, gain + high + above)),
        (had.mean, max(0.0, had.mean + had_low - above), min(1.0, had.mean + had_high + below)),
    )


def weighed_difference(
    score: Floats, first: Floats, second: Floats, labels: Labels
) -> tuple[float, float, float] | None:
    """Return the mean by the weights ``first`` less that by ``second``, with its 95 % interval.

    All have the shape (n,); ``None`` if either's ratings are too few.
    """
    if not len(score) or min(effective(first), effective(second)) < FEWEST_EFFECTIVE:
        return None
    one, other = _Weighed(score, first), _Weighed(score, second)
    try:
        low, high = _bounds(one.parts - other.parts, [*one.added, *-other.added], labels)
    except TooFewClusters:
        return None
    gain = one.mean - other.mean
    return gain, max(-1.0, gain + low), min(1.0, gain + high)


class _Weighed:
    """A weighed mean, what each rating adds to its error, and a rating more at each bound.

    The latter keep equal ratings from being taken as certain.
    """

    def __init__(self, score: Floats, weights: Floats) -> None:
        total = float(weights.sum())
        self.mean = float((weights * score).sum()) / total
        self.parts = weights * (score - self.mean) / total
        self.added = np.array([-self.mean, 1 - self.mean]) / effective(weights)


def _bounds(parts: Floats, added: list[float], labels: Labels) -> tuple[float, float]:
    """Return how far below (negative) and above the bounds lie."""
    values = np.append(parts, added)
    alone = np.arange(-len(added), 0)  # labels become numbers from zero on
    named = {
        by: np.append(np.unique(names, return_inverse=True)[1], alone)
        for by, names in labels.items()
    }
    _, low, high = mean_interval(values * len(values), named)
    return low, high


def effective(weights: Floats) -> float:
    """Return how many equal weights these are worth (Kish 1965)."""
    squares = float((weights**2).sum())
    return float(weights.sum()) ** 2 / squares if squares else 0.0
