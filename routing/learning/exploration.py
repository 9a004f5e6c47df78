"""Exploration: Thompson sampling for a share of decisions, with recorded propensities.

With probability ``rate`` the policy is given one draw of each candidate's
quality from its posterior instead of the careful estimate (Thompson 1933;
Chapelle & Li 2011). The probability of each candidate to be chosen, its
propensity, is stored with the decision, so that logged outcomes can later be
weighted without bias (Horvitz & Thompson 1952). It is exact: the draws are made
first, and one of them is then chosen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from routing.policies import Costs, Policy

DRAWS = 128


@dataclass(frozen=True, slots=True)
class Exploration:
    """The index of the candidate to use, and each candidate's ``propensity`` (n,), 0-1."""

    choice: int
    explored: bool
    propensity: NDArray[np.float64]


class Explorer:
    """Explores a share ``rate`` (0-1) of decisions. Safe for use by several threads."""

    def __init__(self, rate: float, seed: int | None = None) -> None:
        self.rate = rate
        self._random = np.random.default_rng(seed)

    def choose(
        self,
        policy: Policy,
        mean: NDArray[np.float64],
        deviation: NDArray[np.float64],
        costs: Costs,
        exploit: int,
    ) -> Exploration:
        """Choose among candidates with posteriors ``mean`` and ``deviation``, each (n,).

        ``exploit`` is the index that the policy picks without exploring.
        """
        n = len(mean)
        drawn = mean + deviation * self._random.standard_normal((DRAWS, n))
        picks = policy.pick(np.clip(drawn, 0.0, 1.0), costs)
        propensity = self.rate * np.bincount(picks, minlength=n) / DRAWS
        propensity[exploit] += 1 - self.rate
        explored = bool(self._random.random() < self.rate)
        choice = int(picks[self._random.integers(DRAWS)]) if explored else exploit
        return Exploration(choice, explored, propensity)
