"""How often what-if estimates, and verdicts from ratings, hold the truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np

from benchmarks.coverage.traffic import APART, DAYS, Floats, Labels, skewed
from routing.evaluation.off_policy import (
    LoggedOutcomes,
    PolicyOutcomes,
    Unsupported,
    difference,
    estimate,
    predictions,
    rating_chance,
)
from routing.evaluation.weighed_ratings import WeighedRatings, rated_difference

_KINDS = 4
_SMALL, _BIG = 0, 1
_USER = 0.12
"""The standard deviation of what sets a user's quality apart."""


@dataclass(frozen=True)
class RoutedLog:
    """A log of two models: kinds of prompt, what was chosen, how likely the big one was, scores."""

    kind: Labels
    chosen: Labels
    big: Floats
    score: Floats
    labels: dict[str, Labels]


def routed(users: int, n: int, rng: np.random.Generator, *, chance: bool = True) -> RoutedLog:
    """Prompts differ in difficulty within a kind, and the router sees it: hard ones go to big.

    Without ``chance`` it always does what it finds best.
    """
    user = rng.integers(users, size=n)
    kind = rng.integers(_KINDS, size=n)
    hard = rng.random(n)
    big = np.where(hard > 0.5, 0.8, 0.3) if chance else (hard > 0.5).astype(float)
    chosen = (rng.random(n) < big).astype(np.intp)
    own = np.clip(_USER * rng.normal(size=users), -0.25, 0.25)[user]
    quality = 0.75 - 0.3 * (hard - 0.5) + 0.1 * (chosen == _BIG) + own
    score = (rng.random(n) < np.clip(quality, 0, 1)).astype(float)
    return RoutedLog(kind, chosen, big, score, {"user": user, "day": rng.integers(DAYS, size=n)})


def whatif_quality(users: int) -> Callable[[int, np.random.Generator], bool | None]:
    """The quality if the big model answered everything: 0.85 on average."""

    def held(n: int, rng: np.random.Generator) -> bool | None:
        log = routed(users, n, rng)
        target = np.full(n, _BIG)
        known = LoggedOutcomes(np.arange(n), log.kind, log.chosen, log.score, n)
        rated = np.ones(n, dtype=bool)
        outcomes = PolicyOutcomes(
            predictions(known, log.kind, target, log.labels),
            np.where(log.chosen == _BIG, log.score, np.nan),
            log.big * rating_chance(rated, log.kind, log.chosen, of=target),
        )
        try:
            found = estimate(outcomes, log.labels)
        except Unsupported:
            return None
        return found.low <= _best() <= found.high

    return held


def whatif_cost(users: int) -> Callable[[int, np.random.Generator], bool | None]:
    """The change of cost if the small model, at a third of the price, answered everything."""

    def held(n: int, rng: np.random.Generator) -> bool | None:
        log = routed(users, n, rng)
        tokens = skewed(rng, users, APART)[log.labels["user"]] * skewed(rng, n)
        spent, cheap = tokens * np.where(log.chosen == _BIG, 3.0, 1.0), tokens
        before = PolicyOutcomes(spent, spent, np.ones(n))
        agreed = log.chosen == _SMALL
        after = PolicyOutcomes(cheap, np.where(agreed, spent, np.nan), 1 - log.big)
        try:
            _, low, high = difference(after, before, log.labels, most=np.inf)
        except Unsupported:
            return None
        return bool(low <= -2 * (0.8 + 0.3) / 2 <= high)

    return held


def rated(users: int, *, chance: bool) -> Callable[[int, np.random.Generator], bool | None]:
    """The quality of routed answers less the big model's, from ratings of most answers."""

    def held(n: int, rng: np.random.Generator) -> bool | None:
        log = routed(users, n, rng, chance=chance)
        (at,) = np.nonzero(rng.random(n) < np.where(log.chosen == _BIG, 0.9, 0.7))
        of = np.zeros(n, dtype=bool)
        of[at] = True
        rate = rating_chance(of, log.kind, log.chosen)
        propensity = log.big[at] if chance else (log.chosen[at] == _BIG).astype(float)
        ratings = WeighedRatings(log.score[at], rate[at], propensity, log.chosen[at] == _BIG)
        labels = {by: names[at] for by, names in log.labels.items()}
        found = rated_difference(ratings, labels)
        if found is None:
            return None
        truth = _routed_truth() - _best()
        return bool(found.difference[1] <= truth <= found.difference[2])

    return held


def _truth(big: Floats, hard: Floats, own: Floats) -> float:
    small = np.clip(0.75 - 0.3 * (hard - 0.5) + own, 0, 1)
    large = np.clip(0.85 - 0.3 * (hard - 0.5) + own, 0, 1)
    return float((big * large + (1 - big) * small).mean())


def _many() -> tuple[Floats, Floats]:
    rng = np.random.default_rng(0)
    hard = (np.arange(200_000) + 0.5) / 200_000
    return hard, np.clip(_USER * rng.normal(size=len(hard)), -0.25, 0.25)


@cache
def _best() -> float:
    hard, own = _many()
    return _truth(np.ones(len(hard)), hard, own)


@cache
def _routed_truth() -> float:
    hard, own = _many()
    return _truth(np.where(hard > 0.5, 0.8, 0.3), hard, own)


ROWS: dict[str, Callable[[int, np.random.Generator], bool | None]] = {
    "what-if, cost: 50 users": whatif_cost(50),
    "what-if, cost: 200 users": whatif_cost(200),
    "what-if, quality: 50 users": whatif_quality(50),
    "what-if, quality: 200 users": whatif_quality(200),
    "ratings: harder prompts to the better model": rated(10**6, chance=True),
    "ratings: the same, of 100 users": rated(100, chance=True),
    "ratings: a router that leaves nothing to chance": rated(10**6, chance=False),
}
