"""The interval of a mean whose values lie between two bounds, like scores from 0 to 1."""

from __future__ import annotations

import numpy as np

from routing.evaluation.clustered import (
    Clusters,
    Floats,
    Labels,
    TotalSpread,
    bounds,
    clusters_of,
    refuse_few,
    spread_of,
    usable,
    variance_of_one,
    widest,
)


def bounded_mean(
    values: Floats, labels: Labels, minimum: float = 0.0, maximum: float = 1.0
) -> tuple[float, float, float]:
    """Return the mean of ``values``, shape (n,), with its 95 % interval.

    Two values are added at each bound, so that a hundred equal values are not taken as certain
    (Agresti & Coull 1998). If values of a cluster are alike, so many are added as say as much
    as two that are alone: by the design effect, and whole clusters if all values are equal.
    ``labels`` name the clusters of each value. Raise
    :class:`routing.evaluation.clustered.TooFewClusters`.
    """
    clusters = {"request": Clusters(np.ones(len(values)), values)}
    clusters |= {by: clusters_of(values, names) for by, names in labels.items()}
    refuse_few(clusters)
    alone = spread_of(clusters["request"], 1.0, "request").variance
    added = {
        by: _with_bounds(part, _alike(by, part, alone), minimum, maximum)
        for by, part in clusters.items()
    }
    one = variance_of_one(added["request"])
    spreads = {}
    for by, part in added.items():
        if usable(by, clusters[by]):
            spread, count = spread_of(part, one, by), float(part.counts.sum())
            spreads[by] = TotalSpread(
                spread.variance / count**2, spread.freedom, spread.skewness, by
            )
    most = widest(spreads)
    centre = float(added[most.by].totals.sum() / added[most.by].counts.sum())
    low, high = bounds(most)
    return float(values.mean()), max(minimum, centre + low), min(maximum, centre + high)


def _alike(by: str, clusters: Clusters, alone: float) -> float:
    """Return how many values of a cluster say as much as one that is alone (Kish 1965)."""
    if by in {"request", "day"} or not usable(by, clusters):
        return 1.0
    size = float(clusters.counts.sum()) / clusters.effective
    if not alone:
        return size
    return min(max(spread_of(clusters, 1.0, by).variance / alone, 1.0), size)


def _with_bounds(clusters: Clusters, each: float, minimum: float, maximum: float) -> Clusters:
    return Clusters(
        np.append(clusters.counts, [each] * 4),
        np.append(clusters.totals, [each * minimum] * 2 + [each * maximum] * 2),
    )
