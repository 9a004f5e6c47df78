"""Estimates a policy's results from the log of another: doubly robust estimation.

For each logged request, the outcome of the model that the policy would choose is
predicted. If the log holds that outcome, the prediction's error is added, weighted
by how unlikely it was to be there:

    phi_i = q_i + [outcome known] / p_i * (r_i - q_i),     V = mean(phi)

with q the prediction, r the outcome and p the chance that it would be known: the
chance that the model is chosen (its propensity) times the chance that the answer
is rated. V is unbiased if either p or q is right (Robins, Rotnitzky & Zhao 1994;
Dudik, Langford & Li 2011, equation 4). If the policy agrees with a log that chose
without randomness, p is 1 and V is the mean of the observed outcomes: a replay.
Predictions are cross-fitted: none uses the request that it is for, or one of the same user
(Chernozhukov et al. 2018). Requests of one user or session are alike, so intervals are those
of clusters (:mod:`routing.evaluation.clustered`).

If an outcome had no chance of being known, nothing corrects its prediction, so the
interval admits every possible value for that request. If there are many such
requests, or the known outcomes weigh like few, there is no estimate.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from routing.evaluation.clustered import Labels, TooFewClusters, mean_interval

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

LEAST_EFFECTIVE = 100.0
"""The least effective sample size that supports an estimate."""
MOST_UNSUPPORTED = 0.05
"""The greatest share of requests whose outcome had no chance of being known."""

ALONE: Labels = {}
"""The labels of requests that are independent."""

_SHRINK = 5.0


class Unsupported(Exception):
    """The log does not support an estimate; the message gives the reason."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean with its 95 % interval.

    ``effective`` is the effective sample size (sum w)^2 / sum w^2, ``supported`` the
    share (0-1) of requests whose outcome had a chance of being known.
    """

    mean: float
    low: float
    high: float
    effective: float
    supported: float


@dataclass(frozen=True, slots=True)
class PolicyOutcomes:
    """The outcomes of the models that a policy chooses on ``n`` requests, each (n,).

    ``predicted`` is the predicted outcome, ``observed`` the logged one (NaN if unknown),
    and ``chance`` the chance (0-1) that it would be known.
    """

    predicted: Floats
    observed: Floats
    chance: Floats

    @property
    def known(self) -> NDArray[np.bool_]:
        """Return which outcomes are known and had a chance of being known."""
        return ~np.isnan(self.observed) & (self.chance > 0)

    @property
    def phi(self) -> Floats:
        """Return the doubly robust score of each request."""
        known, scores = self.known, self.predicted.copy()
        scores[known] += (self.observed[known] - self.predicted[known]) / self.chance[known]
        return scores

    def uncorrected_margin(self, least: float, most: float) -> tuple[float, float]:
        """Return how far the mean may lie below and above, as some predictions stay uncorrected."""
        uncorrected = self.predicted[self.chance <= 0]
        n = len(self.predicted)
        return float((uncorrected - least).sum() / n), float((most - uncorrected).sum() / n)


def effective_size(outcomes: PolicyOutcomes) -> float:
    """Return how many equally weighted outcomes the known ones are worth (Kish 1965).

    The result is the smaller of the actual and the expected number: if chances are
    small, the outcomes that weigh most may not have occurred.
    """
    chance, known = outcomes.chance, outcomes.known
    possible = chance > 0
    if not known.any():
        return 0.0
    weights = 1 / chance[known]
    actual = weights.sum() ** 2 / (weights**2).sum()
    expected = possible.sum() ** 2 / (1 / chance[possible]).sum()
    return float(min(actual, expected))


def estimate(
    outcomes: PolicyOutcomes, labels: Labels = ALONE, *, least: float = 0.0, most: float = 1.0
) -> Estimate:
    """Estimate the mean outcome, if outcomes lie between ``least`` and ``most``.

    ``labels`` name the clusters of each request. Raise
    :class:`Unsupported` if the log does not support an estimate.
    """
    share = float((outcomes.chance > 0).mean()) if len(outcomes.chance) else 0.0
    effective = effective_size(outcomes)
    if 1 - share > MOST_UNSUPPORTED:
        raise Unsupported(
            f"for {1 - share:.0%} of the requests the policy chooses a model that this log never "
            f"tried on them, or tried without randomness; at most {MOST_UNSUPPORTED:.0%} may be so"
        )
    if effective < LEAST_EFFECTIVE:
        raise Unsupported(
            f"the outcomes that count for it weigh like {effective:.0f}; "
            f"{LEAST_EFFECTIVE:.0f} are needed"
        )
    mean, low, high = interval_of(outcomes.phi, labels)
    down, up = outcomes.uncorrected_margin(least, most)
    return Estimate(mean, max(least, low - down), min(most, high + up), effective, share)


def difference(
    after: PolicyOutcomes,
    before: PolicyOutcomes,
    labels: Labels = ALONE,
    *,
    least: float = 0.0,
    most: float = 1.0,
) -> tuple[float, float, float]:
    """Return the mean outcome of ``after`` less that of ``before``, with its 95 % interval.

    Both are on the same requests and are compared pair by pair. Raise :class:`Unsupported`.
    """
    mean, low, high = interval_of(after.phi - before.phi, labels)
    after_down, after_up = after.uncorrected_margin(least, most)
    before_down, before_up = before.uncorrected_margin(least, most)
    return mean, low - after_down - before_up, high + after_up + before_down


def interval_of(values: Floats, labels: Labels = ALONE) -> tuple[float, float, float]:
    """Return the mean and its 95 % interval.

    Raise :class:`Unsupported` if the values come from too few sessions or users.
    """
    if len(values) < 2:
        mean = float(values.mean())
        return mean, mean, mean
    try:
        return mean_interval(values, labels)
    except TooFewClusters as error:
        raise Unsupported(str(error)) from None


@dataclass(frozen=True, slots=True)
class LoggedOutcomes:
    """The known outcomes, one row each.

    ``request`` is the index of the request, ``kind`` its kind of prompt, ``model`` the
    model that answered and ``value`` the outcome, each (k,). ``requests`` is the number
    of requests.
    """

    request: Ints
    kind: Ints
    model: Ints
    value: Floats
    requests: int


def predictions(
    known: LoggedOutcomes,
    kind: Ints,
    model: Ints,
    labels: Labels = ALONE,
    *,
    folds: int = 5,
) -> Floats:
    """Predict the outcome of ``model`` on prompts of ``kind``, shape (n,), cross-fitted.

    A prediction is the mean of that kind and model over the other folds' requests,
    shrunk towards the model's mean, which is shrunk towards the mean of all. A user, or
    else a session, is in one fold.
    """
    values = np.empty(len(kind))
    shape = (max([*kind, *known.kind, 0]) + 1, max([*model, *known.model, 0]) + 1)
    fold_of = _folds(labels, known.requests, folds)
    for fold in range(folds):
        in_fold = fold_of == fold
        others = fold_of[known.request] != fold
        table = _means(known, others, shape)
        values[in_fold] = table[kind[in_fold], model[in_fold]]
    return values


def _folds(labels: Labels, requests: int, folds: int) -> Ints:
    """Return the fold of each request; they are dealt in turns, to cover the whole period."""
    for by in ("user", "session"):
        if by in labels:
            _, place = np.unique(labels[by], return_inverse=True)
            return np.asarray(place % folds)
    return np.arange(requests) % folds


def _means(known: LoggedOutcomes, chosen: NDArray[np.bool_], shape: tuple[int, int]) -> Floats:
    cells = known.kind[chosen] * shape[1] + known.model[chosen]
    size = shape[0] * shape[1]
    counts = np.bincount(cells, minlength=size).reshape(shape)
    sums = np.bincount(cells, weights=known.value[chosen], minlength=size).reshape(shape)
    overall = (sums.sum() + 0.5) / (counts.sum() + 1)
    by_model = (sums.sum(axis=0) + _SHRINK * overall) / (counts.sum(axis=0) + _SHRINK)
    return np.asarray((sums + _SHRINK * by_model) / (counts + _SHRINK))


def rating_chance(
    rated: NDArray[np.bool_], kind: Ints, model: Ints, *, of: Ints | None = None
) -> Floats:
    """Return the chance (0-1) that an answer by ``of`` (default: ``model``) is rated, (n,)."""
    of = model if of is None else of
    outcomes = LoggedOutcomes(
        np.arange(len(rated)), kind, model, rated.astype(np.float64), len(rated)
    )
    models = int(max(model.max(initial=0), of.max(initial=0))) + 1
    all_rows = np.ones(len(rated), dtype=bool)
    table = _means(outcomes, all_rows, (int(kind.max(initial=0)) + 1, models))
    return np.asarray(table[kind, of])
