"""From expected qualities to a choice. The score is one thing, what to do with it another.

A policy sees candidates ordered from cheapest to dearest (unknown prices last)
and picks one for each row of qualities: one row to decide, many to explore.
Among equals the first, and so the cheaper, wins.
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
"""Shape (rows,): the place of the candidate picked."""


class Policy(Protocol):
    """Picks a candidate from qualities (less their uncertainty) and costs."""

    def pick(self, quality: Qualities, costs: Costs) -> Picks: ...

    def reason(self, quality: float) -> str:
        """Why a candidate of this quality was picked, to be read after "is the"."""
        ...

    def reaches(self, quality: float) -> bool:
        """Whether a candidate of this quality meets what the policy asks for."""
        ...


@dataclass(frozen=True, slots=True)
class CheapestAboveTarget:
    """The cheapest candidate that reaches ``target`` (0-1); if none does, the best there is.

    Raising the target never lowers the quality picked.
    """

    target: float = 0.7

    def pick(self, quality: Qualities, costs: Costs) -> Picks:
        enough = quality >= self.target
        return np.where(enough.any(axis=1), enough.argmax(axis=1), quality.argmax(axis=1))

    def reason(self, quality: float) -> str:
        clears = f"quality, less its uncertainty, clears {self.target:.2f}"
        return (
            f"cheapest whose {clears}"
            if self.reaches(quality)
            else f"best there is, as no {clears}"
        )

    def reaches(self, quality: float) -> bool:
        return quality >= self.target


@dataclass(frozen=True, slots=True)
class BestUnderCap:
    """The best candidate expected to cost at most ``cap`` USD; if none does, the cheapest."""

    cap: Decimal

    def pick(self, quality: Qualities, costs: Costs) -> Picks:
        affordable = np.array([cost is not None and cost <= self.cap for cost in costs])
        if not affordable.any():
            return np.zeros(len(quality), dtype=np.intp)
        return np.where(affordable, quality, -np.inf).argmax(axis=1)

    def reason(self, quality: float) -> str:
        return f"best that is expected to cost at most ${self.cap:f}"

    def reaches(self, quality: float) -> bool:
        return True


@dataclass(frozen=True, slots=True)
class QualityMinusCost:
    """The greatest ``quality - penalty * cost``; ``penalty`` is quality given up to save 1 USD."""

    penalty: Decimal

    def pick(self, quality: Qualities, costs: Costs) -> Picks:
        # An unknown price is taken as the dearest: never as free.
        dearest = max((cost for cost in costs if cost is not None), default=Decimal(0))
        price = [float(self.penalty * (dearest if cost is None else cost)) for cost in costs]
        return (quality - np.array(price)).argmax(axis=1)

    def reason(self, quality: float) -> str:
        return f"best once a dollar is worth {self.penalty:f} of quality"

    def reaches(self, quality: float) -> bool:
        return True
