"""Exploration where it is worth most: Thompson sampling, with recorded propensities.

Some requests are explored: the policy is then given one draw of each candidate's quality from its
posterior instead of the careful estimate (Thompson 1933; Chapelle & Li 2011). Which ones follows
from the value of information (Howard 1966): how much better the policy would choose, in its own
terms, if it knew the qualities, as the mean over the draws. A request explores with probability

    rate x (0.2 + 0.8 x value / mean value of the latest requests)

so that the mean is ``rate``, which is also the most that all requests together get. Kinds that come
often are explored more by themselves, because each of their requests may be. Where a policy has
no target, all requests explore with probability ``rate``: there, choosing them gained nothing.

The probability of each candidate to be chosen, its propensity, is stored with the decision, so
that logged outcomes can later be weighted without bias (Horvitz & Thompson 1952). It is exact:
the draws are made first, the probability to explore follows from them and from earlier requests,
and one of the draws is then chosen.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from routing.policies import Costs, Policy, Qualities

DRAWS = 128
MOST = 0.5
"""No request explores more often than this, so that estimates see both choices; with a greater
rate, all explore alike."""
_BY_VALUE = 0.8
_REMEMBERED = 500
"""Requests over which the mean value is taken."""
_MOST_SAVED = 5.0
"""Explored requests that low values may save for later ones."""


@dataclass(frozen=True, slots=True)
class Exploration:
    """The index of the candidate to use, and each candidate's ``propensity`` (n,), 0-1.

    ``rate`` is the probability (0-1) with which this request was to explore.
    """

    choice: int
    explored: bool
    propensity: NDArray[np.float64]
    rate: float


class Explorer:
    """Explores a share ``rate`` (0-1) of decisions. Safe for use by several threads."""

    def __init__(self, rate: float, seed: int | None = None) -> None:
        self.rate = rate
        self._seed = seed
        self._lock = Lock()
        self._requests = 0
        self._mean_value = 0.0
        self._saved = 0.0

    @cached_property
    def _random(self) -> np.random.Generator:
        """The source of chance; numpy imports 3 MB for it, so it is made at the first use."""
        return np.random.default_rng(self._seed)

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
        drawn = np.clip(drawn, 0.0, 1.0)
        picks = policy.pick(drawn, costs)
        value = value_of_information(policy, drawn, costs, picks, exploit)
        rate = self.rate if value is None else self._rate_of(value)
        propensity = rate * np.bincount(picks, minlength=n) / DRAWS
        propensity[exploit] += 1 - rate
        explored = bool(self._random.random() < rate)
        choice = int(picks[self._random.integers(DRAWS)]) if explored else exploit
        return Exploration(choice, explored, propensity, rate)

    def _rate_of(self, value: float) -> float:
        """Return how likely a request explores (0-1), and count it."""
        if self.rate >= MOST:
            return self.rate
        with self._lock:
            self._requests += 1
            gain = 1 / min(self._requests, _REMEMBERED)
            self._mean_value += gain * (value - self._mean_value)
            relative = value / self._mean_value if self._mean_value > 0 else 1.0
            wanted = self.rate * (1 - _BY_VALUE + _BY_VALUE * relative)
            self._saved = min(self._saved + self.rate, _MOST_SAVED)
            rate = min(wanted, MOST, self._saved)
            self._saved -= rate
            return rate


def value_of_information(
    policy: Policy, drawn: Qualities, costs: Costs, picks: NDArray[np.intp], exploit: int
) -> float | None:
    """Return how much better ``picks`` are than ``exploit``, if the draws (rows, n) were true.

    ``None`` if the policy's requests are to be explored alike.
    """
    worth = policy.worth(drawn, costs)
    if worth is None:
        return None
    gained = worth[np.arange(len(drawn)), picks] - worth[:, exploit]
    return float(np.maximum(gained, 0.0).mean())
