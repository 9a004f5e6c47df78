"""What the units of one arm would have cost in the other arm, predicted by regression.

Arms are drawn by unit (a session, or a request that has none). A unit g has n_g requests that
are expected to cost x_g and did cost t_g. The other arm's units are a random sample of all, so
what these units would have cost there is predicted by the regression

    t_g = a n_g + b x_g,    weights o_g / v_g,    v_g = n_g + x_g / (mean of x a request)

fitted on the other arm alone (Lin's interacted regression), with o_g the odds of not having been
drawn into that arm. v_g is what the variance of a unit is taken to be proportional to. It is a
sum of the regressors, so the weighed residuals add up to zero and the prediction is right on
average however wrong the regression is (Särndal, Swensson & Wretman 1992, section 6.5). The
prediction is a sum over the other arm's units with weights a_g, and its standard error is

    s^2 = sum of a_g^2 e_g^2 / (1 - h_g)

with e_g the residuals and h_g the leverages (CR2).

The other arm may have few units and costs are skewed, so error / s is far from normal. How it is
distributed is learnt from the units themselves, of which there are many: as many as the other arm
has are drawn from them at random, again and again, and each time the total of all is predicted,
whose truth is known. The errors of these :data:`DRAWS` pretended arms, each by its own s, give
the quantiles (the bootstrap t, with the larger arm as the population). If the other arm's costs
have another shape, the quantiles are somewhat off while it is small, and right once it is large,
as those of any shape become normal.

Sources: Lin, "Agnostic notes on regression adjustments to experimental data" (2013); Su & Ding,
"Model-assisted analyses of cluster-randomized experiments" (JRSS B, 2021), for totals of units;
Abadie, Athey, Imbens & Wooldridge, "When should you adjust standard errors for clustering?" (QJE,
2023); Bell & McCaffrey, "Bias reduction in standard errors for linear regression with multi-stage
samples" (2002); Hall, The Bootstrap and Edgeworth Expansion (1992), section 3.10; Sekhon &
Shem-Tov, "Inference on a new class of sample average treatment effects" (JASA, 2021), for the
effect on these very units.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from routing.evaluation.clustered import LEVEL, Floats, TooFewClusters

DRAWS = 399
"""Pretended arms, of which the tenth from either end bound 95 %."""
LARGEST_DRAW = 1000
"""Units of a pretended arm; with more, the quantiles hardly change."""
FEWEST_ARM_UNITS = 12
"""Units that each arm needs for an interval."""
FEWEST_DRAWS = 199
"""Pretended arms that must show an error for the quantiles to count."""
FEWEST_NONZERO = 0.2
"""Share of units that must cost something for the arm to show how costs vary."""
_SINGULAR = 1e-9
_LEAST_LEFT = 0.02


@dataclass(frozen=True, slots=True)
class ArmUnits:
    """The units of one arm, each array of shape (G,).

    ``counts`` are requests, ``expected`` and ``totals`` USD, ``odds`` those of having been drawn
    into the other arm. ``expected`` is ``None`` where the expected costs are not known.
    """

    counts: Floats
    totals: Floats
    expected: Floats | None
    odds: Floats

    def without_expected(self) -> ArmUnits:
        """Return the same units, their expected costs left out."""
        return replace(self, expected=None)

    def drawn(self, at: NDArray[np.intp]) -> ArmUnits:
        """Return the units at these places, in arrays of the shape of ``at``."""
        expected = None if self.expected is None else self.expected[at]
        return ArmUnits(self.counts[at], self.totals[at], expected, self.odds[at])


@dataclass(frozen=True, slots=True)
class PredictedTotal:
    """What units would have cost in the other arm, in USD, with its 95 % interval."""

    total: float
    low: float
    high: float


def predicted_total(units: ArmUnits, other: ArmUnits) -> PredictedTotal:
    """Predict what ``units`` would have cost in the arm of ``other``.

    The same units give the same interval. Raise
    :class:`~routing.evaluation.clustered.TooFewClusters`.
    """
    for part in (units, other):
        if len(part.counts) < FEWEST_ARM_UNITS:
            raise TooFewClusters(
                f"an arm has {len(part.counts)} sessions or single requests; "
                f"{FEWEST_ARM_UNITS} are needed"
            )
    if units.expected is None or other.expected is None or _singular(other):
        units, other = units.without_expected(), other.without_expected()
    aims = float(units.counts.sum()), _sum(units.expected)
    total, error = _predicted(other, *aims)
    shown = units if np.mean(units.totals != 0) >= FEWEST_NONZERO else _as_other(units, other)
    low, high = _quantiles(shown, len(other.counts))
    # These units deviate from their own mean as well.
    error = float(error) * (1 + len(other.counts) / len(units.counts)) ** 0.5
    return PredictedTotal(float(total), float(total) - high * error, float(total) - low * error)


def expected_total(units: ArmUnits, other: ArmUnits) -> float:
    """Return the prediction alone; zero if ``other`` has no units."""
    if not len(other.counts):
        return 0.0
    if units.expected is None or other.expected is None or _singular(other):
        units, other = units.without_expected(), other.without_expected()
    return float(_predicted(other, float(units.counts.sum()), _sum(units.expected))[0])


def _as_other(units: ArmUnits, other: ArmUnits) -> ArmUnits:
    """Return units whose costs vary as they do in the other arm; these cost nothing at all.

    Each has the mean cost, or the cost beside the expected one, of a unit of the other arm.
    """
    per, unit_sizes = other.expected, units.expected
    if per is None or unit_sizes is None or not (per > 0).all():
        per, unit_sizes = other.counts, units.counts
    drawn = _draws(len(units.counts), other)
    return replace(units, totals=(other.totals / per)[drawn] * unit_sizes)


def _draws(size: int | tuple[int, ...], population: ArmUnits) -> NDArray[np.intp]:
    """Return places of units drawn from ``population``, the same ones each time.

    A unit is drawn with the chance that it would be in the other arm. The random numbers are
    those of SplitMix64, which any language can repeat: the verifier of proofs does.
    """
    count = int(np.prod(size))
    state = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    uniform = ((state ^ (state >> np.uint64(31))) >> np.uint64(11)) * 2.0**-53
    chance = 1 / population.odds
    places = np.searchsorted(np.cumsum(chance) / chance.sum(), uniform, side="right")
    if np.ptp(population.odds) == 0:
        places = (uniform * len(chance)).astype(np.intp)
    return np.minimum(places, len(chance) - 1).astype(np.intp).reshape(size)


def _quantiles(population: ArmUnits, size: int) -> tuple[float, float]:
    """Return the outer quantiles of error / s of an arm of ``size`` drawn from ``population``."""
    at = _draws((DRAWS, min(size, LARGEST_DRAW)), population)
    # Weighed by chance times odds, the population is itself: what is aimed at is its plain sum.
    aims = float(population.counts.sum()), _sum(population.expected)
    with np.errstate(divide="ignore", invalid="ignore"):
        totals, errors = _predicted(population.drawn(at), *aims)
        studentised = (totals - population.totals.sum()) / errors
    studentised = np.sort(studentised[np.isfinite(studentised)])
    if len(studentised) < FEWEST_DRAWS:
        raise TooFewClusters("nearly all costs are equal, which does not show how they vary")
    rank = int((len(studentised) + 1) * (1 - LEVEL) / 2)
    return float(studentised[rank - 1]), float(studentised[-rank])


def _predicted(units: ArmUnits, requests: float, expected: float) -> tuple[Floats, Floats]:
    """Return predicted totals of so many requests, and their standard errors, by the last axis."""
    n, t, odds = units.counts, units.totals, units.odds
    if units.expected is None:
        weighed = odds * n
        per_request = (odds * t).sum(-1) / weighed.sum(-1)
        a = odds * (requests / weighed.sum(-1))[..., None]
        residuals = t - per_request[..., None] * n
        left = 1 - weighed / weighed.sum(-1)[..., None]
        total = per_request * requests
    else:
        x = units.expected
        w = odds / (n + x / (expected / requests))
        nn, nx, xx = (w * n * n).sum(-1), (w * n * x).sum(-1), (w * x * x).sum(-1)
        nt, xt, square = (w * n * t).sum(-1), (w * x * t).sum(-1), nn * xx - nx * nx
        for_n, for_x = (
            (xx * requests - nx * expected) / square,
            (nn * expected - nx * requests) / square,
        )
        slope_n, slope_x = (xx * nt - nx * xt) / square, (nn * xt - nx * nt) / square
        a = w * (n * for_n[..., None] + x * for_x[..., None])
        residuals = t - slope_n[..., None] * n - slope_x[..., None] * x
        inner = n * n * xx[..., None] - 2 * n * x * nx[..., None] + x * x * nn[..., None]
        left = 1 - w * inner / square[..., None]
        total = slope_n * requests + slope_x * expected
    parts = a * residuals
    return total, np.sqrt((parts * parts / np.maximum(left, _LEAST_LEFT)).sum(-1))


def _singular(units: ArmUnits) -> bool:
    """Return whether expected costs are all alike, so that requests count alone."""
    if units.expected is None or not units.expected.sum() > 0:
        return True
    means = units.expected / units.counts
    return float(means.std()) <= _SINGULAR * float(means.mean())


def _sum(values: Floats | None) -> float:
    return 0.0 if values is None else float(values.sum())
