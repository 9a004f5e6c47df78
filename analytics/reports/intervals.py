"""The confidence interval of savings: pairs of costs, in the clusters that vary most.

Each request is a pair, its own cost and its baseline's, and the interval is about their
difference, never about two separate sets. Requests of one session, user, key or day are alike,
so SQL sums them by each, and :mod:`routing.evaluation.clustered` finds from these sums which
of them varies most. Sessions, users and keys are in 256 random groups, by the last two digits
of their MD5: groups of independent clusters are independent, and a group more or less hardly
matters. Requests without a user are grouped by session, and without a session by the last two
digits of their ids, which are random. Fewer than twelve users or keys are taken as given.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Protocol

import numpy as np

from analytics.reports.figures import Figures
from routing.evaluation.clustered import (
    COARSE,
    FEWEST_CLUSTERS,
    FEWEST_DAYS,
    LEVEL,
    MOST_WIDER,
    SHORT_SKEW,
    SKEW,
    STUDENT,
    TAIL,
    Clusters,
    TooFewClusters,
    TotalInterval,
    total_interval,
)

Z = 1.959964
"""Standard errors on each side of a normal mean that hold it with a probability of 95 %."""
MIN_REQUESTS = 30
"""With fewer requests, a total has no interval."""
GROUPED_BY = {"request": "group", "session": "sessions", "user": "users", "key": "keys"}
"""The dimension of :data:`analytics.reports.figures.KEPT` of each kind of cluster."""
PAIR_FIGURES = ("paired", "paired_cost", "lost_cost", "baseline_cost")
METHOD: dict[str, str | int | float] = {
    "name": "clustered", "version": 4, "minimum": MIN_REQUESTS, "level": LEVEL, "skew": SKEW,
    "student": STUDENT, "short_skew": SHORT_SKEW, "fewest_clusters": FEWEST_CLUSTERS,
    "fewest_days": FEWEST_DAYS, "tail": TAIL, "most_wider": MOST_WIDER,
}  # fmt: skip
"""What a proof says of the interval. Another method has another name, or a higher version and
a function of its own in ``analytics/proof/verify.py``."""
_PLACES = Decimal("1e-10")


class GroupedSums(Protocol):
    """A source of sums by dimension and by day."""

    def by(
        self, dimension: str, since: datetime, until: datetime | None = None
    ) -> dict[str, Figures]:
        """Return the figures of each value of ``dimension`` in ``[since, until)``."""
        ...

    def by_day(self, since: datetime, until: datetime | None = None) -> dict[datetime, Figures]:
        """Return the figures of each UTC day, by its start."""
        ...


@dataclass(frozen=True, slots=True)
class SavingsInterval:
    """The interval of the expected saving with the confidence :data:`LEVEL`, in USD.

    ``next_low`` and ``next_high`` bound what as many requests of the same traffic will save.
    ``by`` names the clusters that vary most ("request", "session", "user", "key" or "day").
    All are ``None`` if there is no interval, and ``refused`` says why.
    """

    low: Decimal | None = None
    high: Decimal | None = None
    next_low: Decimal | None = None
    next_high: Decimal | None = None
    by: str | None = None
    refused: str = ""

    def less(self, cost: Decimal) -> SavingsInterval:
        """Return the interval of what was saved less a known cost in USD."""

        def lower(bound: Decimal | None) -> Decimal | None:
            return None if bound is None else bound - cost

        return SavingsInterval(
            lower(self.low), lower(self.high), lower(self.next_low), lower(self.next_high),
            self.by, self.refused,
        )  # fmt: skip


def savings_interval(
    sums: GroupedSums, since: datetime, until: datetime | None = None
) -> SavingsInterval:
    """Return the interval of what the requests of ``[since, until)`` saved."""
    groups = {by: sums.by(name, since, until) for by, name in GROUPED_BY.items()}
    return interval_of({**groups, "day": sums.by_day(since, until)})


def interval_of(groups: Mapping[str, Mapping[Any, Figures]]) -> SavingsInterval:
    """Return the interval of savings from the figures of each group, by kind of cluster.

    The same groups give the same interval.
    """
    clusters = {by: _clusters(figures) for by, figures in groups.items() if not _few(by, figures)}
    counted = {by: part.counts.sum() for by, part in clusters.items()}
    unknown = max(counted["request"] - count for count in counted.values())
    if unknown:
        return SavingsInterval(
            refused=f"the sessions and users of {unknown:.0f} requests are not known: their rows "
            "were pruned before a version that counts by session"
        )
    try:
        interval = total_interval(clusters, fewest_requests=MIN_REQUESTS)
    except TooFewClusters as error:
        return SavingsInterval(refused=str(error))
    return _in_usd(interval)


def _few(by: str, groups: Mapping[Any, Figures]) -> bool:
    """Return whether the named users or keys are so few that they are taken as given."""
    if by not in COARSE:
        return False
    letter = "u" if by == "user" else "a"
    return sum(name.startswith(letter) for name in groups) < FEWEST_CLUSTERS


def _clusters(groups: Mapping[Any, Figures]) -> Clusters:
    # A fixed order, so that the same requests give the same interval.
    ordered = [groups[name] for name in sorted(groups)]
    pairs = [(figures["paired"], float(_saved(figures))) for figures in ordered]
    pairs = [pair for pair in pairs if any(pair)]
    counts, totals = np.array(pairs, dtype=np.float64).reshape(-1, 2).T
    return Clusters(counts, totals)


def _saved(figures: Figures) -> Decimal:
    saved: Decimal = figures["baseline_cost"] - figures["paired_cost"] - figures["lost_cost"]
    return saved


def _in_usd(interval: TotalInterval) -> SavingsInterval:
    bounds = (interval.low, interval.high, interval.next_low, interval.next_high)
    low, high, next_low, next_high = (Decimal(repr(bound)).quantize(_PLACES) for bound in bounds)
    return SavingsInterval(low, high, next_low, next_high, interval.by)
