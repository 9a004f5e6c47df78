"""A router's curve of quality over cost among many models.

The router expects a quality and a cost of every model for every prompt and picks
the greatest ``quality - penalty * cost``; varying the penalty gives its curve. It
must beat random mixing: sending a random share of prompts to each of two models
reaches every point between them, and so the upper hull of the models' own points
(cost, quality).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from routing.evaluation.curves import Floats, Interval

_PENALTIES = 240
_GRID = 101
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class ModelResults:
    """True ``quality`` (0-1) and ``cost`` (USD) of ``m`` models on ``n`` prompts, both (n, m)."""

    models: Sequence[str]
    quality: Floats
    cost: Floats


@dataclass(frozen=True, slots=True)
class Curve:
    """Points by rising cost, shape (k,): mean cost in USD per prompt, mean quality 0-1."""

    cost: Floats
    quality: Floats

    def at(self, cost: Floats | float) -> Floats:
        """Return the quality at ``cost``, interpolated between points and flat beyond the ends."""
        return np.asarray(np.interp(cost, self.cost, self.quality))

    def least_cost(self, quality: float) -> float:
        """Return the least cost of a point that reaches ``quality``; ``nan`` if none does."""
        enough = np.flatnonzero(self.quality >= quality - _ROUNDING)
        return float(self.cost[enough[0]]) if len(enough) else float("nan")


@dataclass(frozen=True, slots=True)
class FrontierFigures:
    """A curve's figures, each with its 95 % interval.

    ``area`` is the mean quality over all costs between the cheapest and the most
    expensive model, ``gain`` how much that is above random mixing, ``least_gain`` the
    smallest gain at any cost strictly between them, and ``at_equal_cost`` the quality
    above each single model at that model's own cost. ``at_equal_quality`` is the cost of
    reaching each single model's quality, as a share of always using that model; ``nan`` if the
    router never reaches it.
    """

    area: Interval
    gain: Interval
    least_gain: Interval
    at_equal_cost: dict[str, Interval]
    at_equal_quality: dict[str, Interval]


def mixing_curve(results: ModelResults, weights: Floats | None = None) -> Curve:
    """Return the upper hull of the single models' points, which random mixing reaches."""
    cost = np.average(results.cost, axis=0, weights=weights)
    quality = np.average(results.quality, axis=0, weights=weights)
    hull: list[int] = []
    for index in np.lexsort((-quality, cost)):
        if hull and quality[index] <= quality[hull[-1]]:
            continue
        while len(hull) > 1 and _below(cost, quality, hull[-2], hull[-1], index):
            hull.pop()
        hull.append(int(index))
    return Curve(cost[hull], quality[hull])


def _below(cost: Floats, quality: Floats, left: int, middle: int, right: int) -> bool:
    """Return whether the middle point lies on or under the line between the others."""
    rise = (quality[right] - quality[left]) * (cost[middle] - cost[left])
    return bool((quality[middle] - quality[left]) * (cost[right] - cost[left]) <= rise)


def picks_by_penalty(expected_quality: Floats, expected_cost: Floats) -> NDArray[np.intp]:
    """Return the model picked for each prompt (rows) at each falling penalty (columns)."""
    spread = np.ptp(expected_cost.mean(axis=0))
    scale = 1 / max(float(spread), 1e-12)
    penalties = np.concatenate(([np.inf], np.geomspace(1e3, 1e-4, _PENALTIES) * scale, [0.0]))
    chosen = np.empty((len(expected_quality), len(penalties)), dtype=np.intp)
    chosen[:, 0] = np.argmin(expected_cost.mean(axis=0))
    for column, penalty in enumerate(penalties[1:], start=1):
        chosen[:, column] = (expected_quality - penalty * expected_cost).argmax(axis=1)
    return chosen


def curve(results: ModelResults, chosen: NDArray[np.intp], weights: Floats | None = None) -> Curve:
    """Return the curve of the picks ``chosen``, (prompts, penalties).

    Of points with equal cost, the one with the highest penalty stays.
    """
    rows = np.arange(len(chosen))[:, None]
    cost = np.average(results.cost[rows, chosen], axis=0, weights=weights)
    quality = np.average(results.quality[rows, chosen], axis=0, weights=weights)
    rising, first = np.unique(cost, return_index=True)
    return Curve(rising, quality[first])


def frontier_figures(
    results: ModelResults, chosen: NDArray[np.intp], *, resamples: int = 1000, seed: int = 0
) -> FrontierFigures:
    """Return the figures of the curve of ``chosen``, with bootstrap 95 % intervals."""
    draw = np.random.default_rng(seed)
    n = len(chosen)
    values = _figures(results, chosen, None)
    samples = np.array(
        [
            _figures(
                results, chosen, np.bincount(draw.integers(0, n, n), minlength=n).astype(float)
            )
            for _ in range(resamples)
        ]
    )
    area, gain, least, *equal = (
        _interval(float(value), sample) for value, sample in zip(values, samples.T, strict=True)
    )
    models = len(results.models)
    return FrontierFigures(
        area,
        gain,
        least,
        dict(zip(results.models, equal[:models], strict=True)),
        dict(zip(results.models, equal[models:], strict=True)),
    )


def _interval(value: float, sample: Floats) -> Interval:
    """Return the value with the interval of its defined samples."""
    defined = sample[~np.isnan(sample)]
    low, high = np.quantile(defined if len(defined) else [np.nan], (0.025, 0.975))
    return Interval(value, float(low), float(high))


def _figures(results: ModelResults, chosen: NDArray[np.intp], weights: Floats | None) -> Floats:
    routed, mixed = curve(results, chosen, weights), mixing_curve(results, weights)
    single_cost = np.average(results.cost, axis=0, weights=weights)
    single_quality = np.average(results.quality, axis=0, weights=weights)
    costs = np.linspace(single_cost.min(), single_cost.max(), _GRID)
    ahead = routed.at(costs) - mixed.at(costs)
    # At both ends one model answers everything, so there is nothing to choose.
    inner = (costs > mixed.cost[0]) & (costs < mixed.cost[-1])
    equal = routed.at(single_cost) - single_quality
    least = ahead[inner].min() if inner.any() else np.nan
    same = [
        routed.least_cost(quality) / cost if cost > 0 else np.nan
        for quality, cost in zip(single_quality, single_cost, strict=True)
    ]
    return np.array([routed.at(costs).mean(), ahead.mean(), least, *equal, *same])
