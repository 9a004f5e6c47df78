"""Whether an amount is unusual, by how far past amounts lay from what was usual for them.

The logarithm of each amount is compared with the median of those at its place in the weeks before.
The distances of past amounts, computed in the same way, show how far amounts stray by themselves:
by trend, by noise, and by the error of the median. Their upper tail is taken as exponential in
logarithms (as a power law in money) from their 97th percentile on, with the slope between the 90th
and the 97th. So three in a hundred of the past may be anomalies themselves, a whole day in a month,
without hiding the next one.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
FALSE_ALARMS = 1 / 1000
"""The false alarms an hour that are aimed at: one in six weeks. A benchmark measures them."""
WINDOWS = (1, 6, 24)
"""Hours that are looked at together: a leap shows at once, a lasting rise within a day."""
FEWEST_DISTANCES = 168
"""Past distances needed before anything is called unusual: those of a week of hours."""
MOST_WEEKS, FEWEST_WEEKS = 4, 2
"""How many weeks before an amount say what is usual for it."""
_INNER, _OUTER = 0.90, 0.97
_LEAST_SLOPE = log(1.1)
"""Amounts that hardly vary still vary by so much, so that a cent more is no alarm."""
_FLOOR_SHARE = 0.05
"""Added to every amount, as a share of the usual one, so that nothing is far below it."""


@dataclass(frozen=True, slots=True)
class AmountCheck:
    """How an amount compares with what is usual.

    ``expected`` is the usual amount, and ``bound`` the one from which on an amount is unusual.
    """

    amount: float
    expected: float
    bound: float

    @property
    def is_unusual(self) -> bool:
        """Return whether the amount is above the bound."""
        return self.amount > self.bound

    @property
    def is_calm(self) -> bool:
        """Return whether the amount is well within the bound: halfway to the usual one."""
        return self.amount <= (self.bound + self.expected) / 2


def check_amount(past: Floats, latest: Floats, rate: float) -> AmountCheck | None:
    """Compare an amount with those at its place in the weeks before.

    ``latest`` (weeks + 1,) has the amount, then the one a week before, and so on. ``past``
    (n, weeks + 1) has the same for earlier moments. ``rate`` is the share of usual amounts that
    may be called unusual. Returns ``None`` with too little of the past.
    """
    if len(latest) <= FEWEST_WEEKS or len(past) < FEWEST_DISTANCES:
        return None
    levels = past[past > 0]
    if not levels.size:
        return None
    floor = _FLOOR_SHARE * float(np.median(levels))
    rows = np.log(past + floor)
    distances = rows[:, 0] - np.median(rows[:, 1:], axis=1)
    inner, outer = np.quantile(distances, (_INNER, _OUTER))
    slope = max((outer - inner) / log((1 - _INNER) / (1 - _OUTER)), _LEAST_SLOPE)
    far = max(outer, 0.0) + slope * log((1 - _OUTER) / rate)
    usual = float(np.median(np.log(latest[1:] + floor)))
    return AmountCheck(float(latest[0]), max(0.0, exp(usual) - floor), exp(usual + far) - floor)
