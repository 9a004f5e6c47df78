"""Chooses the threshold below which the reference model answers instead.

Each pair of answers gives a request's score (the quality expected of the routed
model before it answered) and its loss (the reference's quality less the routed
answer's, -1 to 1). With threshold t the reference answers requests that score
below t, at no loss, so the risk is the mean of loss * [score >= t]. Thresholds are
tried from the safest down, each with a test at level delta that its risk is within
the tolerance, until one fails; the last that passed is chosen. Its risk exceeds the
tolerance with a probability of at most delta, whatever the distribution and
however good the scores: risk control by fixed-sequence testing (Angelopoulos,
Bates, Candes, Jordan & Lei, "Learn then Test", 2021, section 2; Bates et al.,
"Distribution-free, risk-controlling prediction sets", JACM 2021), the
high-probability form of conformal risk control (Angelopoulos et al., 2022), which
bounds only the expectation.

That is so while requests are like those before. :func:`calibrate_now` is for traffic that
changes: its tests may be repeated with each new pair, it tries no threshold at which the latest
losses leave the promise in doubt (:mod:`routing.guarantee.drift`), and it forgets the pairs from
before a change.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log

import numpy as np
from numpy.typing import NDArray

from routing.guarantee.betting import is_smaller, upper_bound
from routing.guarantee.drift import DOUBT, drift_of

Floats = NDArray[np.float64]

GRID = np.linspace(1, 0, 101).round(2)
"""Thresholds from the safest to the riskiest; fixed in advance, so independent of the data."""
_SHORTEST, _LONGEST = 400, 6_000
_MARGIN = 1.25
_VARIANCE = 0.05
"""That of a judge's verdicts, scaled to 0-1: wins of either side and ties."""


@dataclass(frozen=True, slots=True)
class Promise:
    """The promise that mean quality is at most ``tolerance`` (0-1) below the reference's.

    It is wrong with a probability of at most ``delta``.
    """

    tolerance: float
    delta: float = 0.05


@dataclass(frozen=True, slots=True)
class Calibration:
    """A chosen threshold and the evidence for it, from ``samples`` pairs of answers.

    ``threshold`` is ``None`` while there is too little evidence for any threshold;
    then the reference answers everything. ``bound`` is the upper bound of the mean
    loss, ``loss`` the observed mean loss, and ``routed`` the share of requests (0-1)
    that the reference need not answer. ``doubt`` says that the latest losses are why the
    threshold is not lower.
    """

    threshold: float | None
    bound: float
    loss: float
    routed: float
    samples: int
    doubt: bool = False


NO_EVIDENCE = Calibration(None, 0.0, 0.0, 0.0, 0)


def calibrate(
    scores: Floats, losses: Floats, promise: Promise, *, following: float = np.inf
) -> Calibration:
    """Choose a threshold from pairs in their order of arrival; both arrays are (n,).

    The promise covers the distribution of the pairs or, with ``following``, the mean
    over that many requests after them.
    """
    chosen: float | None = None
    for threshold in GRID:
        values = _scaled(scores, losses, threshold)
        limit = _mean_of_all(values, promise.tolerance, following)
        if not is_smaller(values, limit, promise.delta, len(values) + following):
            break
        chosen = float(threshold)
    if chosen is None:
        return Calibration(None, 0.0, 0.0, 0.0, len(scores))
    values = _scaled(scores, losses, chosen)
    bound = upper_bound(values, promise.delta, len(values) + following)
    return Calibration(
        chosen,
        _mean_of_following(values, bound, following),
        float(2 * values.mean() - 1),
        float((scores >= chosen).mean()),
        len(scores),
    )


def calibrate_now(scores: Floats, losses: Floats, promise: Promise) -> Calibration:
    """Choose a threshold for the requests that come next; pairs are in their order of arrival.

    Use pairs that begin at a fixed one (:func:`window_start`): the promise then holds at all times
    at once over the pairs that begin there, with the same confidence.
    """
    limit = (promise.tolerance + 1) / 2
    drifts = [drift_of(_scaled(scores, losses, threshold), limit) for threshold in GRID]
    since = max(drift.since for drift in drifts)
    scores, losses = scores[since:], losses[since:]
    chosen, doubt = None, False
    for threshold, drift in zip(GRID, drifts, strict=True):
        values = _scaled(scores, losses, threshold)
        if drift.evidence >= DOUBT:
            doubt = True
            break
        if not is_smaller(values, limit, promise.delta, sequential=True):
            doubt = bool(since)
            break
        chosen = float(threshold)
    if chosen is None:
        return Calibration(None, 0.0, 0.0, 0.0, len(scores), doubt)
    values = _scaled(scores, losses, chosen)
    bound = upper_bound(values, promise.delta, sequential=True)
    return Calibration(
        chosen,
        float(min(1.0, 2 * bound - 1)),
        float(2 * values.mean() - 1),
        float((scores >= chosen).mean()),
        len(scores),
        doubt,
    )


def window_of(promise: Promise) -> int:
    """Return how many of the latest pairs count: a quarter more than a promise needs at no loss.

    A test at level delta needs 2 log(1 / delta) v / m^2 values of variance v that lie m below the
    limit. A promise that allows more loss needs fewer, and so notices a change sooner.
    """
    needed = 2 * log(1 / promise.delta) * _VARIANCE / (promise.tolerance / 2) ** 2
    return round(min(max(_MARGIN * needed, _SHORTEST), _LONGEST))


def window_start(pairs: int, promise: Promise) -> int:
    """Return the number of pairs, the oldest of ``pairs``, that no longer count.

    The window keeps its start until a quarter as many pairs have come.
    """
    window = window_of(promise)
    step = window // 4
    return max(0, pairs - window) // step * step


def _scaled(scores: Floats, losses: Floats, threshold: float) -> Floats:
    """Return the losses under the threshold, scaled from -1..1 to 0..1."""
    return (np.where(scores >= threshold, losses, 0.0) + 1) / 2


def _mean_of_all(values: Floats, tolerance: float, following: float) -> float:
    """Return the mean of all values at which the following ones lose exactly the tolerance."""
    limit = (tolerance + 1) / 2
    if np.isinf(following):
        return limit
    return float((values.sum() + following * limit) / (len(values) + following))


def _mean_of_following(values: Floats, bound: float, following: float) -> float:
    """Return the mean loss of the following requests if the mean of all is ``bound``."""
    if not np.isinf(following):
        bound = ((len(values) + following) * bound - values.sum()) / following
    return float(min(1.0, 2 * bound - 1))
