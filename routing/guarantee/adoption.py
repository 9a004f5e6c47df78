"""Whether to move traffic to a model that is on trial, and whether to take it back.

On trial, some requests are answered by both the model and the one in its place, and a judge scores
the model's answer: 0 to 1, half is even. The loss is half less the mean score. Both bounds of the
loss are found by betting (:mod:`routing.guarantee.betting`) and hold at all times at once, so a
trial may be looked at after each pair; those of the saving are an asymptotic confidence sequence
(:mod:`routing.evaluation.sequential`). A trial ends with a move only if the model surely loses at
most ``margin`` and surely costs less. Each of these is wrong with a probability of at most half of
``delta``, so a move is wrong with at most ``delta``.

After the move the same scores are watched for a change (:mod:`routing.guarantee.drift`).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import floor, sqrt
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from routing.evaluation.sequential import FEWEST_UNITS, half_width
from routing.guarantee.betting import upper_bound
from routing.guarantee.drift import drift_of

Floats = NDArray[np.float64]
Stage = Literal["shadow", "live"]
Verdict = Literal["wait", "live", "move", "reject"]

EVEN = 0.5
MOST_LOSS = 0.5
"""The loss of a model that loses every comparison."""
LEAST_LOSS = 0.01
"""The loss that an answer is counted with at least, as nothing is known exactly."""
_STEPS = 17
"""Bisections of a bound: it is exact to a hundred-thousandth."""
TURNED = 100.0
"""Evidence of a change (a mean time to a false alarm, in pairs) at which a move is taken back."""


@dataclass(frozen=True, slots=True)
class AdoptionTerms:
    """What a model must show.

    ``margin`` is the most it may lose, ``live_margin`` the most it may surely not exceed before
    it answers any client, both in score (0-0.5). ``delta`` is the probability of a wrong move.
    ``fewest_live`` requests must have been answered by it before a move. The confidence sequence
    of the saving is tightest at ``planned`` pairs.
    """

    margin: float = 0.05
    live_margin: float = 0.15
    delta: float = 0.05
    fewest_live: int = 50
    planned: int = 500


@dataclass(frozen=True, slots=True)
class AdoptionBounds:
    """What ``pairs`` show: the loss (-0.5 to 0.5) and the saving of a request in USD.

    Bounds of the saving are ``None`` with too few pairs.
    """

    pairs: int
    loss: float
    loss_low: float
    loss_high: float
    saving: float | None
    saving_low: float | None
    saving_high: float | None


@dataclass(frozen=True, slots=True)
class AdoptionDecision:
    """What to do with a trial now, and why."""

    verdict: Verdict
    reason: str


def bounds_of(scores: Floats, savings: Floats, terms: AdoptionTerms) -> AdoptionBounds:
    """Return the bounds that pairs show, in their order; one pair a session at most.

    ``scores`` (n,) are the model's; ``savings`` (m,) are USD a request, of pairs with prices.
    """
    if not len(scores):
        return AdoptionBounds(0, 0.0, -MOST_LOSS, MOST_LOSS, None, None, None)
    delta = terms.delta / 2
    loss_high = upper_bound(1 - scores, delta, sequential=True, steps=_STEPS) - EVEN
    loss_low = EVEN - upper_bound(scores, delta, sequential=True, steps=_STEPS)
    saving = float(savings.mean()) if len(savings) else None
    low = high = None
    if saving is not None and len(savings) >= FEWEST_UNITS and (spread := float(savings.std())):
        error = spread / sqrt(len(savings))
        half = half_width(len(savings), error, terms.planned, delta)
        low, high = saving - half, saving + half
    return AdoptionBounds(
        len(scores), float(EVEN - scores.mean()), loss_low, loss_high, saving, low, high
    )


def decide_adoption(
    stage: Stage, bounds: AdoptionBounds, live: int, terms: AdoptionTerms
) -> AdoptionDecision:
    """Return what to do with a trial; ``live`` requests were answered by the model so far."""
    if bounds.loss_low > terms.margin:
        return AdoptionDecision("reject", "it surely loses more than the margin")
    if bounds.saving_high is not None and bounds.saving_high <= 0:
        return AdoptionDecision("reject", "it surely costs no less")
    cheaper = bounds.saving_low is not None and bounds.saving_low > 0
    if stage == "shadow":
        if bounds.loss_high <= terms.live_margin and (bounds.saving or 0.0) > 0:
            return AdoptionDecision("live", "what it may lose at most is small enough to go live")
        return AdoptionDecision("wait", "too little is known of it to answer clients")
    if bounds.loss_high > terms.margin:
        return AdoptionDecision("wait", "it may still lose more than the margin")
    if not cheaper:
        return AdoptionDecision("wait", "it may still cost no less")
    if live < terms.fewest_live:
        return AdoptionDecision("wait", "it has answered too few clients")
    return AdoptionDecision("move", "it surely loses at most the margin and surely costs less")


def live_allowance(points_left: float, loss_high: float) -> int:
    """Return how many requests may be answered by a model so that they lose at most so much.

    ``points_left`` are points of quality, 0-1 summed over answers; ``loss_high`` is the most that
    one answer surely loses on average.
    """
    worst = min(max(loss_high, LEAST_LOSS), MOST_LOSS)
    return max(0, floor(points_left / worst))


def turned_bad(scores: Floats, terms: AdoptionTerms) -> bool:
    """Return whether a model that traffic was moved to has come to lose more than the margin.

    ``scores`` (n,) are those of the pairs since the move, in their order.
    """
    return drift_of(1 - scores, EVEN + terms.margin).evidence >= TURNED
