"""What a policy would have done, from the log of another: doubly robust estimation.

For each logged request the outcome of the model that the policy would choose is
predicted, and where the log happens to hold it the prediction's error is added,
weighted by how unlikely that was:

    phi_i = q_i + [outcome known] / p_i * (r_i - q_i),     V = mean(phi)

with q the prediction, r the outcome and p the chance that it would be known: of
the model being chosen (its propensity) times that of the answer being rated. V
is unbiased if either p or q is right (Robins, Rotnitzky & Zhao 1994; Dudik,
Langford & Li 2011, equation 4). Where the policy agrees with a log that left
nothing to chance, p is 1 and V is the plain mean of what was seen: a replay.
Predictions are cross-fitted: none rests on the request it is for (Chernozhukov
et al. 2018).

Where the outcome had no chance at all of being known nothing corrects the
prediction, so for those requests the interval admits every possible value; if
they are many, or the known ones weigh like few, there is no estimate.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

LEAST_EFFECTIVE = 100.0
"""Fewer requests than this, as the weights count them, support no estimate."""
MOST_UNSUPPORTED = 0.05
"""The greatest share of requests whose outcome had no chance of being known."""

_Z = 1.959964
_SHRINK = 5.0


class Unsupported(Exception):
    """The log cannot answer; the message says why."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean with its 95 % interval. ``effective`` is the effective sample size
    (sum w)^2 / sum w^2, ``supported`` the share of requests that had a chance.
    """

    mean: float
    low: float
    high: float
    effective: float
    supported: float


@dataclass(frozen=True, slots=True)
class Seen:
    """Of the models that a policy chooses on ``n`` requests, each (n,): the outcome ``predicted``,
    the one ``observed`` (NaN where unknown), and the ``chance``, 0-1, that it would be.
    """

    predicted: Floats
    observed: Floats
    chance: Floats

    @property
    def known(self) -> NDArray[np.bool_]:
        return ~np.isnan(self.observed) & (self.chance > 0)

    @property
    def phi(self) -> Floats:
        """The doubly robust score of each request."""
        known, found = self.known, self.predicted.copy()
        found[known] += (self.observed[known] - self.predicted[known]) / self.chance[known]
        return found

    def doubt(self, least: float, most: float) -> tuple[float, float]:
        """How far the mean may lie below and above, as nothing corrects some predictions."""
        loose = self.predicted[self.chance <= 0]
        n = len(self.predicted)
        return float((loose - least).sum() / n), float((most - loose).sum() / n)


def effective_size(seen: Seen) -> float:
    """How many outcomes with equal weights the known ones are worth (Kish 1965), or are
    expected to be worth, whichever is less: where a chance is small the outcomes that weigh
    most may simply not have come up.
    """
    chance, known = seen.chance, seen.known
    possible = chance > 0
    if not known.any():
        return 0.0
    weights = 1 / chance[known]
    found = weights.sum() ** 2 / (weights**2).sum()
    expected = possible.sum() ** 2 / (1 / chance[possible]).sum()
    return float(min(found, expected))


def estimate(seen: Seen, *, least: float = 0.0, most: float = 1.0) -> Estimate:
    """The mean outcome, where outcomes lie between ``least`` and ``most``.

    Raises :class:`Unsupported`.
    """
    share = float((seen.chance > 0).mean()) if len(seen.chance) else 0.0
    effective = effective_size(seen)
    if 1 - share > MOST_UNSUPPORTED:
        raise Unsupported(
            f"for {1 - share:.0%} of the requests the policy chooses a model that this log never "
            f"tried on them, or tried without chance; {MOST_UNSUPPORTED:.0%} can be borne"
        )
    if effective < LEAST_EFFECTIVE:
        raise Unsupported(
            f"the outcomes that bear on it weigh like {effective:.0f}; "
            f"{LEAST_EFFECTIVE:.0f} are needed"
        )
    mean, low, high = interval_of(seen.phi)
    down, up = seen.doubt(least, most)
    return Estimate(mean, max(least, low - down), min(most, high + up), effective, share)


def difference(
    after: Seen, before: Seen, *, least: float = 0.0, most: float = 1.0
) -> tuple[float, float, float]:
    """The mean outcome of ``after`` less that of ``before`` on the same requests, pair by pair,
    with its 95 % interval.
    """
    mean, low, high = interval_of(after.phi - before.phi)
    down, up = after.doubt(least, most)
    fewer, more = before.doubt(least, most)
    return mean, low - down - more, high + up + fewer


def interval_of(values: Floats) -> tuple[float, float, float]:
    """Mean and its 95 % interval, corrected for skewness (Hall 1992, The Bootstrap and Edgeworth
    Expansion, section 3.8): rare outcomes that weigh much pull to one side.
    """
    n, mean = len(values), float(values.mean())
    spread = float(values.std(ddof=1)) if n > 1 else 0.0
    if spread <= 1e-12:
        return mean, mean, mean
    skewness = float((((values - mean) / spread) ** 3).mean())
    shift = skewness * (2 * _Z**2 + 1) / (6 * sqrt(n))
    error = spread / sqrt(n)
    return mean, mean - error * (_Z - shift), mean + error * (_Z + shift)


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What is known, one row an outcome: the request's place, its ``kind`` of prompt, the
    ``model`` and its ``value``, each (k,); ``requests`` is how many requests there are.
    """

    request: Ints
    kind: Ints
    model: Ints
    value: Floats
    requests: int


def predictions(known: Outcomes, kind: Ints, model: Ints, *, folds: int = 5) -> Floats:
    """The value expected of ``model`` on prompts of ``kind``, shape (n,), cross-fitted.

    The mean of that kind and model over the other folds' requests, shrunk to the
    model's mean, shrunk to the mean of all.
    """
    found = np.empty(len(kind))
    shape = (max([*kind, *known.kind, 0]) + 1, max([*model, *known.model, 0]) + 1)
    # In turns, so that every fold sees the whole period.
    fold_of = np.arange(known.requests) % folds
    for fold in range(folds):
        mine = fold_of == fold
        others = fold_of[known.request] != fold
        table = _means(known, others, shape)
        found[mine] = table[kind[mine], model[mine]]
    return found


def _means(known: Outcomes, chosen: NDArray[np.bool_], shape: tuple[int, int]) -> Floats:
    cells = known.kind[chosen] * shape[1] + known.model[chosen]
    size = shape[0] * shape[1]
    counts = np.bincount(cells, minlength=size).reshape(shape)
    sums = np.bincount(cells, weights=known.value[chosen], minlength=size).reshape(shape)
    overall = (sums.sum() + 0.5) / (counts.sum() + 1)
    by_model = (sums.sum(axis=0) + _SHRINK * overall) / (counts.sum(axis=0) + _SHRINK)
    return np.asarray((sums + _SHRINK * by_model) / (counts + _SHRINK))


def rated_share(
    rated: NDArray[np.bool_], kind: Ints, model: Ints, *, of: Ints | None = None
) -> Floats:
    """The chance, 0-1, that an answer to its kind by ``of`` (else its own model) is rated, (n,)."""
    of = model if of is None else of
    outcomes = Outcomes(np.arange(len(rated)), kind, model, rated.astype(np.float64), len(rated))
    models = int(max(model.max(initial=0), of.max(initial=0))) + 1
    everyone = np.ones(len(rated), dtype=bool)
    table = _means(outcomes, everyone, (int(kind.max(initial=0)) + 1, models))
    return np.asarray(table[kind, of])
