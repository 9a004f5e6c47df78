"""A router among many models, as a curve of quality over cost.

The router expects a quality and a cost of every model for every prompt, and
takes the greatest ``quality - penalty * cost``; sweeping the penalty draws its
curve. What it must beat is chance: sending a random share of prompts to each
of two models reaches every point between them, and so the upper hull of the
models' own points (cost, quality).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from routing.evaluation.curves import Floats, Interval

_PENALTIES = 240
_GRID = 101


@dataclass(frozen=True, slots=True)
class Field:
    """``n`` prompts and ``m`` models: true ``quality`` 0-1 and ``cost`` USD, both (n, m)."""

    models: Sequence[str]
    quality: Floats
    cost: Floats


@dataclass(frozen=True, slots=True)
class Curve:
    """Points by rising cost, shape (k,): mean cost in USD a prompt, mean quality 0-1."""

    cost: Floats
    quality: Floats

    def at(self, cost: Floats | float) -> Floats:
        """Quality at ``cost``, mixing neighbouring points; flat beyond the ends."""
        return np.asarray(np.interp(cost, self.cost, self.quality))


@dataclass(frozen=True, slots=True)
class FrontierFigures:
    """``area`` is the mean quality over all costs between the cheapest and the dearest model,
    ``gain`` by how much that is above random mixing, ``least_gain`` the least gain at any cost
    strictly between them, and ``at_equal_cost`` the quality above each model at its own cost.
    """

    area: Interval
    gain: Interval
    least_gain: Interval
    at_equal_cost: dict[str, Interval]


def mixing_curve(field: Field, weights: Floats | None = None) -> Curve:
    """The upper hull of the single models' points: what random mixing reaches."""
    cost = np.average(field.cost, axis=0, weights=weights)
    quality = np.average(field.quality, axis=0, weights=weights)
    hull: list[int] = []
    for place in np.lexsort((-quality, cost)):
        if hull and quality[place] <= quality[hull[-1]]:
            continue
        while len(hull) > 1 and _below(cost, quality, hull[-2], hull[-1], place):
            hull.pop()
        hull.append(int(place))
    return Curve(cost[hull], quality[hull])


def _below(cost: Floats, quality: Floats, left: int, middle: int, right: int) -> bool:
    """Whether the middle point lies on or under the line between the others."""
    rise = (quality[right] - quality[left]) * (cost[middle] - cost[left])
    return bool((quality[middle] - quality[left]) * (cost[right] - cost[left]) <= rise)


def picks(expected_quality: Floats, expected_cost: Floats) -> NDArray[np.intp]:
    """The model picked for each prompt (rows) at each penalty (columns), dearest choice last."""
    spread = np.ptp(expected_cost.mean(axis=0))
    scale = 1 / max(float(spread), 1e-12)
    penalties = np.concatenate(([np.inf], np.geomspace(1e3, 1e-4, _PENALTIES) * scale, [0.0]))
    chosen = np.empty((len(expected_quality), len(penalties)), dtype=np.intp)
    chosen[:, 0] = np.argmin(expected_cost.mean(axis=0))
    for column, penalty in enumerate(penalties[1:], start=1):
        chosen[:, column] = (expected_quality - penalty * expected_cost).argmax(axis=1)
    return chosen


def curve(field: Field, chosen: NDArray[np.intp], weights: Floats | None = None) -> Curve:
    """What ``chosen`` came to; of points that cost the same, the one of the highest penalty."""
    rows = np.arange(len(chosen))[:, None]
    cost = np.average(field.cost[rows, chosen], axis=0, weights=weights)
    quality = np.average(field.quality[rows, chosen], axis=0, weights=weights)
    rising, first = np.unique(cost, return_index=True)
    return Curve(rising, quality[first])


def frontier_figures(
    field: Field, chosen: NDArray[np.intp], *, resamples: int = 1000, seed: int = 0
) -> FrontierFigures:
    """Figures of the curve that ``chosen`` draws, with bootstrap 95 % intervals."""
    draw = np.random.default_rng(seed)
    n = len(chosen)
    found = _figures(field, chosen, None)
    samples = np.array(
        [
            _figures(field, chosen, np.bincount(draw.integers(0, n, n), minlength=n).astype(float))
            for _ in range(resamples)
        ]
    )
    low, high = np.quantile(samples, (0.025, 0.975), axis=0)
    area, gain, least, *equal = (
        Interval(float(value), float(bottom), float(top))
        for value, bottom, top in zip(found, low, high, strict=True)
    )
    return FrontierFigures(area, gain, least, dict(zip(field.models, equal, strict=True)))


def _figures(field: Field, chosen: NDArray[np.intp], weights: Floats | None) -> Floats:
    routed, mixed = curve(field, chosen, weights), mixing_curve(field, weights)
    single_cost = np.average(field.cost, axis=0, weights=weights)
    single_quality = np.average(field.quality, axis=0, weights=weights)
    costs = np.linspace(single_cost.min(), single_cost.max(), _GRID)
    ahead = routed.at(costs) - mixed.at(costs)
    # At the ends there is nothing to choose: one model answers everything.
    inner = (costs > mixed.cost[0]) & (costs < mixed.cost[-1])
    equal = routed.at(single_cost) - single_quality
    least = ahead[inner].min() if inner.any() else np.nan
    return np.array([routed.at(costs).mean(), ahead.mean(), least, *equal])
