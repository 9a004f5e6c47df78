"""The interval of a total whose requests are not independent: they come in clusters.

Requests of one session, user or key are alike, and so are those of one day. The total of n
requests is n * R with R = (sum of t_g) / (sum of n_g) over clusters g of n_g requests that total
t_g. Its variance is estimated from the residuals, corrected for R being fitted to them (CR2):

    V = sum of e_g^2 / (1 - h_g),    e_g = t_g - R n_g,    h_g = n_g / n

Where few clusters make up V, it may be far off itself. So the interval has Student's t with
the degrees of freedom of Satterthwaite, for the working model

    variance of t_g = s^2 (n_g + rho n_g (n_g - 1))

with s^2 the variance of one request and rho the correlation within a cluster, both estimated.
Where a few clusters have most requests, simulated logs show that these degrees of freedom are too
few. So :data:`STUDENT` of what t adds to the normal quantile counts.
Savings are skewed: the side of the longer tail is widened by Hall's correction, times
:data:`SKEW`, as a sample shows less skewness than its traffic has; the other side is narrowed
by it, times :data:`SHORT_SKEW`, as a total and its variance err in the same direction.

Some users are so unlike that a log rarely has the few that matter, and its own skewness does
not show it. Their middle does: where 10, 50 and 90 % of their means lie gives the skewness of a
log-normal distribution. If it, times :data:`TAIL`, widens the normal quantile to more than t and
the log's own skewness make of it, that is the side of the longer tail. No log is left out for what
it looks like: those without the dearest users look harmless, and a test that lets only them pass
would choose the wrong ones.

Sources: Bell & McCaffrey, "Bias reduction in standard errors for linear regression with
multi-stage samples" (2002); MacKinnon, Nielsen & Webb, "Cluster-robust inference: a guide to
empirical practice" (2023), sections 3 and 4; Imbens & Kolesar, "Robust standard errors in small
samples" (2016), for the working model; Hall, The Bootstrap and Edgeworth Expansion (1992),
section 3.8; Cameron, Gelbach & Miller,
"Robust inference with multiway clustering" (2011).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import atanh, copysign, exp, sqrt
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from routing.evaluation.students_t import t_quantile

Floats = NDArray[np.float64]

LEVEL = 0.95
STUDENT = 2 / 3
"""How much of what Student's quantile adds to the normal one counts."""
SKEW = 1.5
"""How much of Hall's correction widens the side of the longer tail."""
SHORT_SKEW = 0.5
"""How much of it narrows the other side."""
TAIL = 0.7
"""How much of the skewness of a log-normal distribution widens that side, times SKEW."""
MOST_WIDER = 20.0
"""How many times as wide the side of the longer tail may become because of unlike users."""
FEWEST_CLUSTERS = 12
"""Sessions, users or keys that the requests must weigh like; else there is no interval."""
FEWEST_DAYS = 7
"""Days that the requests must weigh like, so that differences between days can be seen."""
FINE, COARSE = ("request", "session"), ("user", "key")
"""Kinds of clusters: a session has its requests alone, users and keys return on many days."""
_Z, _Z_90 = 1.959964, 1.281552
_MOST_BOWLEY = 0.98
_NOISE = 1e-12
_MOST_SHARE = 0.9
# Variances that differ by less are equal: rounding must not decide which degrees of freedom count.
_TIE = 1e-9


@dataclass(frozen=True, slots=True)
class Clusters:
    """The requests of each cluster and what they total, both of shape (G,)."""

    counts: Floats
    totals: Floats

    @property
    def effective(self) -> float:
        """Return how many clusters of equal size the requests weigh like (Kish 1965)."""
        squares = float((self.counts**2).sum())
        return float(self.counts.sum()) ** 2 / squares if squares else 0.0


@dataclass(frozen=True, slots=True)
class TotalSpread:
    """The variance of a total, its degrees of freedom and skewness; ``by`` names the clusters.

    ``tail`` is the skewness that the middle of users or keys shows.
    """

    variance: float
    freedom: float
    skewness: float
    by: str
    tail: float = 0.0


@dataclass(frozen=True, slots=True)
class TotalInterval:
    """The expected total of as many requests, between ``low`` and ``high``.

    ``next_low`` and ``next_high`` bound the total that as many new requests will have.
    ``by`` names the clusters that vary most: "request", "session", "user", "key" or "day".
    """

    total: float
    low: float
    high: float
    next_low: float
    next_high: float
    by: str


Labels = Mapping[str, NDArray[Any]]
"""The names of each value's clusters, of shape (n,), by kind: "session", "user", "key", "day"."""


class TooFewClusters(Exception):
    """The requests are too few, or come from too few sessions or users; the message says which."""


def total_interval(
    clusters: Mapping[str, Clusters], *, fewest_requests: int = 30, level: float = LEVEL
) -> TotalInterval:
    """Return the interval of the total of the requests in ``clusters``.

    ``clusters`` has the same requests by "request" (each alone, or random groups of them), and
    as far as known by "session", "user", "key" and "day". The kind that varies most
    decides. Raise :class:`TooFewClusters`. Fewer than :data:`FEWEST_CLUSTERS` users or keys are
    taken as given, as they are all there are: the interval is then for the same users or keys.
    """
    alone = clusters["request"]
    requests, total = float(alone.counts.sum()), float(alone.totals.sum())
    if requests < fewest_requests:
        raise TooFewClusters(f"{requests:.0f} requests are too few; {fewest_requests} are needed")
    if alone.effective < 2:
        raise TooFewClusters("nearly all requests are in one group")
    refuse_few(clusters)
    spread = with_tails(most_spread(clusters), clusters)
    low, high = bounds(spread, level)
    next_low, next_high = bounds(spread, level, new_requests=True)
    return TotalInterval(
        total, total + low, total + high, total + next_low, total + next_high, spread.by
    )


def mean_interval(
    values: Floats, labels: Labels, *, level: float = LEVEL
) -> tuple[float, float, float]:
    """Return the mean of ``values``, shape (n,), with its interval; no label: independent values.

    Raise :class:`TooFewClusters`.
    """
    alone = {"request": Clusters(np.ones(len(values)), values)}
    clusters = {by: clusters_of(values, names) for by, names in labels.items()}
    clusters = {**alone, **clusters}
    if len(values) < 2:
        raise TooFewClusters("one value has no interval")
    refuse_few(clusters)
    low, high = bounds(most_spread(clusters), level)
    n, total = len(values), float(values.sum())
    return total / n, (total + low) / n, (total + high) / n


def clusters_of(values: Floats, names: NDArray[Any]) -> Clusters:
    """Return the number and the sum of the values with each name."""
    _, place = np.unique(names, return_inverse=True)
    counts = np.bincount(place).astype(np.float64)
    return Clusters(counts, np.bincount(place, weights=values).astype(np.float64))


def most_spread(clusters: Mapping[str, Clusters]) -> TotalSpread:
    """Return the spread of the total by the clusters that vary most.

    Users and days cross: if both matter, what each adds to single requests and sessions is
    added up.
    """
    one = variance_of_one(clusters["request"])
    return widest(
        {by: spread_of(part, one, by) for by, part in clusters.items() if usable(by, part)}
    )


def widest(spreads: Mapping[str, TotalSpread]) -> TotalSpread:
    """Return the widest of ``spreads``, or what users and days, which cross, come to together."""
    fine = _widest_of([spreads[by] for by in FINE if by in spreads])
    most = _widest_of(list(spreads.values()))
    coarser, day = [spreads[by] for by in COARSE if by in spreads], spreads.get("day")
    if not coarser or day is None:
        return most
    coarse = _widest_of(coarser)
    together = coarse.variance + day.variance - fine.variance
    if together <= most.variance * (1 + _TIE):
        return most
    squares = coarse.variance**2 / coarse.freedom + day.variance**2 / day.freedom
    return TotalSpread(together, together**2 / squares, most.skewness, most.by)


def variance_of_one(alone: Clusters) -> float:
    """Return the variance of one request, from requests alone or in random groups."""
    residuals, requests = _residuals(alone), float(alone.counts.sum())
    return float((residuals**2).sum()) / requests


def spread_of(clusters: Clusters, one: float, by: str) -> TotalSpread:
    """Return the spread of the total by these clusters; ``one`` is the variance of one request."""
    counts, residuals = clusters.counts, _residuals(clusters)
    share = counts / counts.sum()
    left = (1 - share) ** -0.5
    corrected = residuals * left
    squares = float((corrected**2).sum())
    if squares <= _NOISE * float((clusters.totals**2).sum()):
        return TotalSpread(0.0, 1.0, 0.0, by)
    return TotalSpread(
        squares,
        _freedom(clusters, one, residuals, left),
        float(((corrected / sqrt(squares)) ** 3).sum()),
        by,
    )


def bounds(
    spread: TotalSpread, level: float = LEVEL, *, new_requests: bool = False
) -> tuple[float, float]:
    """Return how far below (negative) and above the total the bounds lie.

    With ``new_requests`` they bound the total of as many new requests, which varies as much
    again as the estimate does.
    """
    if not spread.variance:
        return 0.0, 0.0
    normal = NormalDist().inv_cdf((1 + level) / 2)
    quantile = normal + STUDENT * (t_quantile((1 + level) / 2, spread.freedom) - normal)
    shift = spread.skewness * (2 * _Z**2 + 1) / 6
    longer, shorter = SKEW * abs(shift), SHORT_SKEW * abs(shift)
    below, above = quantile - shorter, quantile + longer
    if shift < 0:
        below, above = above, below
    tail = SKEW * spread.tail * (2 * _Z**2 + 1) / 6
    if tail > 0:
        above = max(above, normal + tail)
    elif tail < 0:
        below = max(below, normal - tail)
    error = sqrt(spread.variance * (2 if new_requests else 1))
    return -error * below, error * above


def _freedom(clusters: Clusters, one: float, residuals: Floats, left: Floats) -> float:
    """Return Satterthwaite's degrees of freedom of the variance, under the working model.

    The residuals are (I - h 1') t, so V = t' M t with M of rank two beside its diagonal; its
    trace and that of its square are sums over clusters.
    """
    n = clusters.counts
    h, w = n / n.sum(), left**2
    pairs = float((n * (n - 1)).sum())
    rho = 0.0
    if pairs > 0 and one > 0:
        rho = (float((residuals**2 * left).sum()) / one - float(n.sum())) / pairs
    v = n + min(max(rho, 0.0), 1.0) * n * np.maximum(n - 1, 0)
    total = v.sum()
    beside = h**2 * total - 2 * h * v
    trace = (w * (v + beside)).sum()
    a, b, c = (w * h**2).sum(), (w * v**2).sum(), (w * h * v).sum()
    square = 2 * a * b + 2 * c**2 + (a * total) ** 2 - 4 * total * a * c
    square += (w**2 * ((v + beside) ** 2 - beside**2)).sum()
    return max(1.0, float(trace**2 / square)) if square > 0 else 1.0


def _residuals(clusters: Clusters) -> Floats:
    requests = clusters.counts.sum()
    return np.asarray(clusters.totals - clusters.totals.sum() / requests * clusters.counts)


def usable(by: str, clusters: Clusters) -> bool:
    """Return whether differences between these clusters can be seen."""
    if by == "request":
        return True
    fewest = FEWEST_DAYS if by == "day" else FEWEST_CLUSTERS
    largest = clusters.counts.max(initial=0.0) / max(clusters.counts.sum(), 1.0)
    return clusters.effective >= fewest and bool(largest < _MOST_SHARE)


def refuse_few(clusters: Mapping[str, Clusters]) -> None:
    """Raise :class:`TooFewClusters` if few sessions, or few of many users, have the requests."""
    for by in ("session", "user", "key"):
        part = clusters.get(by)
        if part is None or (by in COARSE and len(part.counts) < FEWEST_CLUSTERS):
            continue
        if part.effective < FEWEST_CLUSTERS:
            raise TooFewClusters(
                f"the requests weigh like those of {part.effective:.1f} {by}s; "
                f"{FEWEST_CLUSTERS} are needed"
            )


def with_tails(spread: TotalSpread, clusters: Mapping[str, Clusters]) -> TotalSpread:
    """Return ``spread`` with the skewness that the middle of users or keys shows.

    Raise :class:`TooFewClusters` if they are too unlike for their number.
    """
    tails = {
        by: tail_of(clusters[by]) for by in COARSE if by in clusters and usable(by, clusters[by])
    }
    if not tails or not spread.variance:
        return spread
    by = max(tails, key=lambda kind: abs(tails[kind]))
    widened = replace(spread, tail=tails[by])
    plain, wider = bounds(spread), bounds(widened)
    if any(abs(new) > MOST_WIDER * abs(old) for old, new in zip(plain, wider, strict=True)):
        raise TooFewClusters(
            f"the {by}s differ so strongly that {clusters[by].effective:.0f} do not show their mean"
        )
    return widened


def tail_of(clusters: Clusters) -> float:
    """Return the skewness of the total of a log-normal distribution with the same middle.

    Clusters weigh by their requests, as they do in the total; the means of those with few
    requests show how unlike requests are. Clusters that save nothing are set aside: they do not
    show how unlike the others are.
    """
    saving = (clusters.counts > 0) & (clusters.totals != 0)
    part = Clusters(clusters.counts[saving], clusters.totals[saving])
    if not len(part.counts):
        return 0.0
    means = part.totals / part.counts
    order = np.argsort(means)
    weights = part.counts[order]
    below = (np.cumsum(weights) - weights / 2) / weights.sum()
    low, middle, high = (float(at) for at in np.interp([0.1, 0.5, 0.9], below, means[order]))
    if high - low <= _NOISE * max(abs(low), abs(high)):
        return 0.0
    bowley = (high + low - 2 * middle) / (high - low)
    square = exp((2 * atanh(min(abs(bowley), _MOST_BOWLEY)) / _Z_90) ** 2)
    skewness = (square + 2) * sqrt(square - 1) / sqrt(part.effective)
    return copysign(TAIL * skewness, bowley)


def _widest_of(spreads: Sequence[TotalSpread]) -> TotalSpread:
    """Return the widest, of equal ones the first."""
    least = max(spread.variance for spread in spreads) * (1 - _TIE)
    return next(spread for spread in spreads if spread.variance >= least)
