"""Simulated logs whose truth is known: what each request saved, and who and when it came from.

Savings are skewed (log-normal), and so is what sets a session, user or loop apart from others.
The mean of each is 1, so that the expected total is the number of requests.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from routing.evaluation.clustered import Clusters

Floats = NDArray[np.float64]
Labels = NDArray[np.intp]
DAYS = 30
GROUPS = 256
APART = 0.5
"""The standard deviation of the logarithm of what sets a session or user apart."""


@dataclass
class Log:
    """``values`` and, by "session", "user" and "day", the ``labels`` of each request."""

    values: Floats
    labels: dict[str, Labels] = field(default_factory=dict)

    def clusters(self, rng: np.random.Generator) -> dict[str, Clusters]:
        """As the database sums them: by day, and else in random groups."""
        n = len(self.values)
        known = {"request": rng.integers(GROUPS, size=n)}
        for by, labels in self.labels.items():
            groups = rng.integers(GROUPS, size=labels.max() + 1)
            known[by] = labels if by == "day" else groups[labels]
        return {by: summed(labels, self.values) for by, labels in known.items()}


def summed(labels: Labels, values: Floats) -> Clusters:
    """The number and the sum of the values with each label."""
    _, place = np.unique(labels, return_inverse=True)
    return Clusters(np.bincount(place).astype(float), np.bincount(place, weights=values))


def skewed(rng: np.random.Generator, n: int, sigma: float = 1.0) -> Floats:
    return rng.lognormal(-(sigma**2) / 2, sigma, n)


def independent(rng: np.random.Generator, n: int) -> Log:
    return Log(skewed(rng, n), {"day": rng.integers(DAYS, size=n)})


def of_size(size: int, *, fixed: bool = True) -> Callable[[np.random.Generator, int], Log]:
    """Sessions of so many requests each, or on average; each is on one day."""

    def log(rng: np.random.Generator, n: int) -> Log:
        sizes = np.full(n, size) if fixed else rng.geometric(1 / size, n)
        session = np.repeat(np.arange(n), sizes)[:n]
        own = skewed(rng, n, APART)
        days = rng.integers(DAYS, size=n)
        return Log(own[session] * skewed(rng, n), {"session": session, "day": days[session]})

    return log


def zipf_users(users: int) -> Callable[[np.random.Generator, int], Log]:
    """Users of whom the k-th sends a k-th of what the first sends."""

    def log(rng: np.random.Generator, n: int) -> Log:
        share = 1 / np.arange(1, users + 1)
        user = rng.choice(users, size=n, p=share / share.sum())
        own = skewed(rng, users, APART)
        labels = {"user": user, "day": rng.integers(DAYS, size=n)}
        return Log(own[user] * skewed(rng, n), labels)

    return log


def equal_users(users: int) -> Callable[[np.random.Generator, int], Log]:
    def log(rng: np.random.Generator, n: int) -> Log:
        user = rng.integers(users, size=n)
        own = skewed(rng, users, APART)
        labels = {"user": user, "day": rng.integers(DAYS, size=n)}
        return Log(own[user] * skewed(rng, n), labels)

    return log


def with_days(
    log: Callable[[np.random.Generator, int], Log], apart: float
) -> Callable[[np.random.Generator, int], Log]:
    """The same, and each day differs from the others with this standard deviation."""

    def changed(rng: np.random.Generator, n: int) -> Log:
        made = log(rng, n)
        day = 1 + apart * rng.normal(size=DAYS)
        return Log(made.values * day[made.labels["day"]], made.labels)

    return changed


TRAFFIC: dict[str, Callable[[np.random.Generator, int], Log]] = {
    "independent requests": independent,
    "sessions of 3": of_size(3),
    "sessions of 10": of_size(10),
    "sessions of 10 on average": of_size(10, fixed=False),
    "2 000 Zipf users": zipf_users(2000),
    "agent loops of 30": of_size(30),
    "agent loops of 30 on average": of_size(30, fixed=False),
    "day effects of 0.2": with_days(independent, 0.2),
    "sessions of 10, day effects of 0.2": with_days(of_size(10), 0.2),
    "200 users, day effects of 0.2": with_days(equal_users(200), 0.2),
}
