"""Compares two arms of an experiment at any time, as often as needed.

A confidence interval is valid for one look, fixed in advance. Looking every day and
stopping at the first difference finds one in four of ten experiments without any. A
confidence sequence is valid at all times at once. This is the asymptotic sequence
of Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas, "Time-uniform central limit
theory and asymptotic confidence sequences" (2021, Theorem 2.2):

    D_m +- s / sqrt(m) * sqrt( 2 (m r^2 + 1) / (m r^2) * log( sqrt(m r^2 + 1) / alpha ) )

with D_m the difference of the arms' means after m units, s / sqrt(m) its standard
error, and r chosen so that it is tightest at a planned number of units (their
equation 24). Means are ratios (cost a request, say) over randomised units (users,
sessions), their variance by linearisation, as requests of one user are alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, log, sqrt

ALPHA = 0.05
POWER = 0.8
FEWEST_UNITS = 50
"""Units that each arm must weigh like for an interval, as the theory is asymptotic."""

_Z_OF_POWER = 0.841621
_MOST_UNITS = 10**9


@dataclass(frozen=True, slots=True)
class ArmSums:
    """Sums over the units of one arm.

    ``total`` and ``count`` sum the units' totals and numbers of requests; the other
    fields sum their squares and their product.
    """

    units: int = 0
    total: float = 0.0
    count: float = 0.0
    total_squared: float = 0.0
    count_squared: float = 0.0
    product: float = 0.0

    @property
    def mean(self) -> float | None:
        """Return the mean per request; ``None`` without requests."""
        return self.total / self.count if self.count else None

    @property
    def effective(self) -> float:
        """Return how many units of equal size the requests weigh like (Kish 1965)."""
        return self.count**2 / self.count_squared if self.count_squared else 0.0

    @property
    def variance(self) -> float:
        """Return the variance of :attr:`mean`: sum of (total_u - mean * count_u)^2 / count^2."""
        if not self.count:
            return 0.0
        mean = self.total / self.count
        squares = self.total_squared - 2 * mean * self.product + mean**2 * self.count_squared
        return max(squares, 0.0) / self.count**2


@dataclass(frozen=True, slots=True)
class ArmsCompared:
    """Treatment less control, with a 95 % confidence sequence; ``None`` with too few units."""

    control: float | None
    treatment: float | None
    difference: float | None
    low: float | None
    high: float | None


def compare(control: ArmSums, treatment: ArmSums, planned: int = 1000) -> ArmsCompared:
    """Compare two arms; the sequence is tightest at ``planned`` units of both arms together."""
    means = control.mean, treatment.mean
    if means[0] is None or means[1] is None:
        return ArmsCompared(*means, None, None, None)
    difference = means[1] - means[0]
    if min(control.effective, treatment.effective) < FEWEST_UNITS:
        return ArmsCompared(*means, difference, None, None)
    units = control.units + treatment.units
    error = sqrt(control.variance + treatment.variance)
    if not error:
        # No failure among a hundred units does not prove that there will be none.
        return ArmsCompared(*means, difference, None, None)
    half = half_width(units, error, planned)
    return ArmsCompared(*means, difference, difference - half, difference + half)


def half_width(units: int, error: float, planned: int = 1000, alpha: float = ALPHA) -> float:
    """Return half the width of the sequence after ``units`` with the standard error ``error``."""
    tightness = (-2 * log(alpha) + log(-2 * log(alpha) + 1)) / planned
    grown = units * tightness
    return error * sqrt(2 * (grown + 1) / grown * log(sqrt(grown + 1) / alpha))


def units_needed(variance: float, effect: float, share: float = 0.5) -> int:
    """Return how many units of both arms show ``effect`` with a probability of :data:`POWER`.

    ``variance`` is that of one unit's contribution to the mean, ``share`` the
    treatment's share of the units. The sequence is tightest at the returned number.
    Raise ``ValueError`` if ``effect`` is not above zero.
    """
    if variance <= 0:
        return 2 * FEWEST_UNITS
    if effect <= 0:
        raise ValueError("the effect must be above zero")
    low, high = 2 * FEWEST_UNITS, 4 * FEWEST_UNITS
    while _missing(high, variance, effect, share) > 0 and high < _MOST_UNITS:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        if _missing(middle, variance, effect, share) > 0:
            low = middle
        else:
            high = middle
    return high


def _missing(units: int, variance: float, effect: float, share: float) -> float:
    """Return how far the effect detectable after ``units`` exceeds ``effect``."""
    if not 0 < share < 1:
        return inf
    error = sqrt(variance / (units * share) + variance / (units * (1 - share)))
    return half_width(units, error, planned=units) + _Z_OF_POWER * error - effect
