"""Durations as histograms that can be summed, for medians and 95th percentiles.

Percentiles cannot be summed, but counts can. Durations are counted by provider in classes whose
bounds are a factor of sqrt(2) apart. A percentile is interpolated within its class on a
logarithmic scale, so its error is at most that factor and usually much smaller (Prometheus
does the same with its histograms, on a linear scale).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from math import log, sqrt
from typing import Any

from django.db.models import Case, CharField, F, IntegerField, Q, Value, When
from django.db.models.functions import Cast, Ceil, Concat, Greatest, Least, Ln

_SHORTEST, _FACTOR = 10.0, sqrt(2)
BOUNDS = tuple(_SHORTEST * _FACTOR**place for place in range(29))
"""Upper bounds of the classes in milliseconds, from 10 ms to nearly three minutes."""
_SEPARATOR = ">"

Counts = dict[int, int]
"""Number of durations in each class, by its index in :data:`BOUNDS`; one more class counts
longer durations."""


def classes(column: str) -> Concat:
    """Return the provider and the class of a request's duration in ``column`` (ms).

    The class is empty if there is no duration or the request failed.
    """
    # A logarithm keeps the query short; one condition per bound would make it long.
    steps = Ln(Greatest(F(column), Value(_SHORTEST)) / Value(_SHORTEST)) / Value(log(_FACTOR))
    place = Least(Cast(Ceil(steps), IntegerField()), Value(len(BOUNDS)))
    no_class = When(Q(**{f"{column}__isnull": True}) | Q(status="error"), then=Value(""))
    class_ = Case(no_class, default=Cast(place, CharField()), output_field=CharField())
    return Concat(F("provider"), Value(_SEPARATOR), class_, output_field=CharField())


@dataclass(frozen=True, slots=True)
class Spread:
    """The median and the 95th percentile of durations, ms."""

    median: float
    p95: float

    @classmethod
    def of(cls, counts: Counts) -> Spread | None:
        """Return the spread of ``counts``, ``None`` if they are all zero."""
        if not any(counts.values()):
            return None
        return cls(quantile(counts, 0.5), quantile(counts, 0.95))


def counts_by_provider(sums: Mapping[str, Mapping[str, Any]]) -> dict[str, Counts]:
    """Return the histograms of sums by :func:`classes`, by provider."""
    by_provider: dict[str, Counts] = defaultdict(dict)
    for value, figures in sums.items():
        provider, _, place = value.rpartition(_SEPARATOR)
        if place:
            by_provider[provider][int(place)] = figures["requests"]
    return dict(by_provider)


def quantile(counts: Counts, share: float) -> float:
    """Return the duration (ms) that a ``share`` (0-1) of the counted ones do not exceed.

    Return the last bound for durations above it. ``counts`` must not be empty.
    """
    places = sorted(place for place, count in counts.items() if count)
    cumulative = list(accumulate(counts[place] for place in places))
    rank = share * cumulative[-1]
    index = next(n for n, sum_ in enumerate(cumulative) if sum_ >= rank)
    place = places[index]
    if place == len(BOUNDS):
        return BOUNDS[-1]
    below = cumulative[index] - counts[place]
    within = (rank - below) / counts[place]
    return float(BOUNDS[place] / _FACTOR ** (1 - within))
