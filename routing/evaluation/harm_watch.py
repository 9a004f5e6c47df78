"""Watches the quality of a lever's answers at any time, as often as needed.

A score of an answer, 0-1, is one observation of the harm d, the quality lost an answer:

    z = (score - c) * ([control] / (1 - p) - [treated] / p)

has the mean d whatever number c is chosen before the score is known; the running mean of scores
makes z vary little. Of a unit whose arm was drawn once, the mean of its scores is one observation.
A pair of answers to the same prompt, one of each arm, is another: z = score of the control's
answer less that of the treated one, which varies much less.

Whether d is above m is tested by betting: a capital of 1 is staked on each z being above m, and
would be a supermartingale if d were at most m, so it reaches 1 / alpha with a probability of at
most alpha, however often it is looked at (Ville). Stakes suit an assumed harm, divided by the
variance so far; the capital is spread over several harms (:data:`HARMS`), as the true one is not
known. Waudby-Smith & Ramdas, "Estimating means of bounded random variables by betting" (JRSS B,
2024), sections 3 and 4; Howard, Ramdas, McAuliffe & Sekhon, "Time-uniform, nonparametric,
nonasymptotic confidence sequences" (2021), for mixtures.

A lever may spoil a budget of answers at most: d times the treated requests. While it ramps up, it
acts on half of the requests, where scores tell most, and is stopped once treated requests times
the upper bound of d exceed the budget: the budget then holds with the probability 1 - alpha
whatever d is, until d is shown to be below :func:`smallest_harm` or the margin.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, log

import numpy as np
from numpy.typing import NDArray

from routing.evaluation.clustered import Floats

ALPHA_OF_HARM = 0.05
"""The probability that a harmless lever is ever stopped, or a bound ever wrong."""
HARM_MARGIN = 0.02
"""The quality lost an answer that is accepted, in points of 0-1."""
HARMS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64)
"""Harms beyond the margin that stakes suit; the capital is spread evenly."""
MOST_STAKED = 0.9
"""Most of the capital that one observation can lose."""
NEEDED = 35.0
"""How many scores show a harm in 95 % of simulations, times its square over their variance."""
_PRIOR_VARIANCE = 0.08
_PRIOR_WEIGHT = 4.0
_STEPS = 14


@dataclass(frozen=True, slots=True)
class ScoredUnits:
    """Scores in the order of their time, each of shape (n,): 0-1, the arm and its propensity.

    The arms of different units are independent.
    """

    score: Floats
    treated: NDArray[np.bool_]
    propensity: Floats

    def observations(self) -> Observations:
        """Return what each score says of the harm."""
        seen = np.arange(len(self.score))
        centre = (0.5 + np.cumsum(self.score) - self.score) / (seen + 1)
        p, q = self.propensity, 1 - self.propensity
        values = (self.score - centre) * np.where(self.treated, -1 / p, 1 / q)
        least = -np.maximum(centre / q, (1 - centre) / p)
        most = np.maximum((1 - centre) / q, centre / p)
        return Observations(values, least, most, _PRIOR_VARIANCE / (p * q))


@dataclass(frozen=True, slots=True)
class Observations:
    """Values whose mean is the harm, the bounds of each, and its variance as first assumed."""

    values: Floats
    least: Floats
    most: Floats
    assumed: Floats

    def variance(self) -> Floats:
        """Return the variance as the values before each one show it."""
        before = np.cumsum(self.values**2) - self.values**2
        seen = np.arange(len(self.values))
        return np.asarray((_PRIOR_WEIGHT * self.assumed + before) / (_PRIOR_WEIGHT + seen))


def pair_observations(treated: Floats, control: Floats) -> Observations:
    """Return what pairs of scores of the same prompt say of the harm."""
    ones = np.ones(len(treated))
    return Observations(control - treated, -ones, ones, ones * _PRIOR_VARIANCE)


@dataclass(frozen=True, slots=True)
class HarmBounds:
    """The quality lost an answer, points of 0-1: a bound on either side, valid at any time."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class HarmVerdict:
    """What to do with a lever: ``stop`` says why it must stop, empty if it need not.

    ``released`` is whether it need not ramp up any longer.
    """

    stop: str
    released: bool


def harm_bounds(sources: Sequence[Observations], alpha: float = ALPHA_OF_HARM) -> HarmBounds:
    """Return bounds of the harm, each wrong with a probability of at most ``alpha`` at any time."""
    return HarmBounds(_bound(sources, alpha), -_bound(_mirrored(sources), alpha))


def harm_verdict(
    sources: Sequence[Observations],
    treated: int,
    budget: float,
    *,
    ramping: bool = False,
    release: float = HARM_MARGIN,
    margin: float = HARM_MARGIN,
) -> HarmVerdict:
    """Decide about a lever that ``treated`` requests so far, and may spoil ``budget`` answers.

    While ``ramping``, harm that is not ruled out counts against the budget, until it is shown to
    be below ``release``.
    """
    seen = [(one, one.variance()) for one in sources if len(one.values)]
    mirrored = [(one, one.variance()) for one in _mirrored(sources) if len(one.values)]
    released = not ramping or _certain(mirrored, -release)
    if _certain(seen, margin):
        low = harm_bounds(sources).low
        return HarmVerdict(f"each answer is worse by {low:.3f} points at least", released)
    spent = budget / treated if treated else inf
    if _certain(seen, spent):
        return HarmVerdict(f"it has spoiled more than {budget:g} answers", released)
    if not released and spent < 1 and not _certain(mirrored, -spent):
        return HarmVerdict(
            f"after {treated} requests it is not ruled out that it has spoiled more than "
            f"{budget:g} answers",
            released,
        )
    return HarmVerdict("", released)


def smallest_harm(
    budget: float,
    scored: float,
    variance: float,
    control: float,
    *,
    paired: float = 0.0,
    pair_variance: float = 0.0,
) -> float:
    """Return the smallest harm that is stopped before it has spoiled ``budget`` answers.

    ``scored`` and ``paired`` are the shares of answers with a score, or with a pair of scores;
    the variances are those of scores, and of the differences in pairs. ``control`` is the share
    left alone. A harm d beyond the margin is shown by :data:`NEEDED` * v / d^2 scores, with
    v = variance / (p (1 - p)), by when it has spoiled d p answers for each request. Infinite if
    nothing is scored.
    """
    treated = 1 - control
    precision = scored * treated * control / variance if variance > 0 else 0.0
    precision += paired / pair_variance if pair_variance > 0 else 0.0
    if precision <= 0 or budget <= 0:
        return inf
    return HARM_MARGIN + NEEDED * treated / (precision * budget)


def _certain(seen: list[tuple[Observations, Floats]], m: float) -> bool:
    """Return whether the mean is certainly above ``m``."""
    return bool(seen) and -1 < m < 1 and _capital(seen, m) >= log(1 / ALPHA_OF_HARM)


def _mirrored(sources: Sequence[Observations]) -> list[Observations]:
    return [Observations(-one.values, -one.most, -one.least, one.assumed) for one in sources]


def _bound(sources: Sequence[Observations], alpha: float) -> float:
    """Return the largest m for which the mean is certainly above m; -1 at least."""
    seen = [(one, one.variance()) for one in sources if len(one.values)]
    if not seen:
        return -1.0
    low, high = -1.0, 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if _capital(seen, middle) >= log(1 / alpha):
            low = middle
        else:
            high = middle
    return low


def _capital(seen: list[tuple[Observations, Floats]], m: float) -> float:
    """Return the logarithm of the capital staked on the mean being above ``m``."""
    harms = np.array(HARMS)[:, None]
    logs = np.zeros(len(HARMS))
    for one, variance in seen:
        stakes = np.minimum(harms / (variance + harms**2), MOST_STAKED / (m - one.least))
        logs += np.log1p(stakes * (one.values - m)).sum(axis=1)
    largest = float(logs.max())
    return largest + log(float(np.exp(logs - largest).mean()))
