"""Policies: rules that choose a candidate from expected qualities and costs.

A score and the policy that uses it are kept apart. A policy sees candidates
ordered from cheapest to most expensive (unknown prices last) and picks one for
each row of qualities: one row to decide, many to explore. Among equals the first,
and so the cheaper, wins.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Qualities = NDArray[np.float64]
"""Shape (rows, candidates), 0-1."""
Costs = Sequence[Decimal | None]
"""USD of each candidate, ascending, ``None`` (unknown) last."""
Picks = NDArray[np.intp]
"""Shape (rows,): the index of the candidate picked."""


_SHORTFALL = 5.0
"""Quality of 0.2 below the target is as bad as the price of the most expensive candidate."""


class Policy(Protocol):
    """Picks a candidate by quality (less its uncertainty) and cost."""

    def pick(self, quality: Qualities, costs: Costs) -> Picks:
        """Return the index of the candidate to use for each row of ``quality``."""
        ...

    def reason(self, quality: float) -> str:
        """Return why a candidate of this quality was picked, to be read after "is the"."""
        ...

    def reaches(self, quality: float) -> bool:
        """Return whether a candidate of this quality meets the policy's target."""
        ...

    def worth(self, quality: Qualities, costs: Costs) -> Qualities | None:
        """Return how good each candidate would be to the policy, to compare them in each row.

        ``None`` if requests are to be explored alike, whatever could be learned from them.
        """
        ...


@dataclass(frozen=True, slots=True)
class CheapestAboveTarget:
    """The cheapest candidate that reaches ``target`` (0-1); if none does, the best one.

    Raising the target never lowers the quality picked.
    """

    target: float = 0.7

    def pick(self, quality: Qualities, costs: Costs) -> Picks:
        """Return the first candidate at or above the target, else the best one."""
        enough = quality >= self.target
        return np.where(enough.any(axis=1), enough.argmax(axis=1), quality.argmax(axis=1))

    def reason(self, quality: float) -> str:
        """Return whether the pick clears the target or is only the best available."""
        clears = f"quality, less its uncertainty, clears {self.target:.2f}"
        return (
            f"cheapest whose {clears}"
            if self.reaches(quality)
            else f"best available, as no {clears}"
        )

    def reaches(self, quality: float) -> bool:
        """Return whether ``quality`` is at or above the target."""
        return quality >= self.target

    def worth(self, quality: Qualities, costs: Costs) -> Qualities:
        """Return the cost and the shortfall from the target, in the most expensive one's cost."""
        return -_SHORTFALL * np.maximum(self.target - quality, 0.0) - _shares(costs)


@dataclass(frozen=True, slots=True)
class BestUnderCap:
    """The best candidate expected to cost at most ``cap`` USD; if there is none, the cheapest."""

    cap: Decimal

    def pick(self, quality: Qualities, costs: Costs) -> Picks:
        """Return the best affordable candidate, else the cheapest."""
        affordable = np.array([cost is not None and cost <= self.cap for cost in costs])
        if not affordable.any():
            return np.zeros(len(quality), dtype=np.intp)
        return np.where(affordable, quality, -np.inf).argmax(axis=1)

    def reason(self, quality: float) -> str:
        """Return the cap as the reason."""
        return f"best that is expected to cost at most ${self.cap:f}"

    def reaches(self, quality: float) -> bool:
        """Return true: the policy has no quality target."""
        return True

    def worth(self, quality: Qualities, costs: Costs) -> None:
        """Return nothing: requests are explored alike."""


@dataclass(frozen=True, slots=True)
class QualityMinusCost:
    """The greatest ``quality - penalty * cost``; ``penalty`` is quality given up to save 1 USD."""

    penalty: Decimal

    def pick(self, quality: Qualities, costs: Costs) -> Picks:
        """Return the candidate with the greatest quality less its weighted cost."""
        # An unknown price counts as the most expensive one, never as free.
        dearest = max((cost for cost in costs if cost is not None), default=Decimal(0))
        price = [float(self.penalty * (dearest if cost is None else cost)) for cost in costs]
        return (quality - np.array(price)).argmax(axis=1)

    def reason(self, quality: float) -> str:
        """Return the penalty as the reason."""
        return f"best by quality minus {self.penalty:f} per dollar of cost"

    def reaches(self, quality: float) -> bool:
        """Return true: the policy has no quality target."""
        return True

    def worth(self, quality: Qualities, costs: Costs) -> None:
        """Return nothing: exploring by value gained nothing (benchmarks/routing/exploration.py)."""


def _shares(costs: Costs) -> NDArray[np.float64]:
    """Return each cost as a share of the highest; an unknown one counts as the highest."""
    dearest = max((cost for cost in costs if cost is not None), default=Decimal(0))
    if not dearest:
        return np.zeros(len(costs))
    return np.array([1.0 if cost is None else float(cost / dearest) for cost in costs])
