"""How long things take, as histograms that can be added up: medians and 95th percentiles.

A percentile cannot be summed, counts can. Durations are counted by provider in classes whose
bounds are a factor of sqrt(2) apart, and a percentile is taken within its class on a logarithmic
scale, so it is at most that factor off, most often far less (as Prometheus does with its
histograms, there on a linear scale).
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
"""Milliseconds: upper bounds of the classes, 10 ms to nearly three minutes."""
_BY = ">"

Counts = dict[int, int]
"""How many durations are in each class, by its place in :data:`BOUNDS`; the last is of longer
ones."""


def classes(column: str) -> Concat:
    """Provider and class of a request's duration in ``column`` (ms); without a class where there
    is none, or nobody answered.
    """
    # By a logarithm, as conditions bound by bound make a long query of each sum.
    steps = Ln(Greatest(F(column), Value(_SHORTEST)) / Value(_SHORTEST)) / Value(log(_FACTOR))
    place = Least(Cast(Ceil(steps), IntegerField()), Value(len(BOUNDS)))
    nothing = When(Q(**{f"{column}__isnull": True}) | Q(status="error"), then=Value(""))
    told = Case(nothing, default=Cast(place, CharField()), output_field=CharField())
    return Concat(F("provider"), Value(_BY), told, output_field=CharField())


@dataclass(frozen=True, slots=True)
class Spread:
    """The median and the 95th percentile of durations, ms."""

    median: float
    p95: float

    @classmethod
    def of(cls, counts: Counts) -> Spread | None:
        """``None`` of none."""
        if not any(counts.values()):
            return None
        return cls(quantile(counts, 0.5), quantile(counts, 0.95))


def counts_by_provider(sums: Mapping[str, Mapping[str, Any]]) -> dict[str, Counts]:
    """The histograms of sums by :func:`classes`."""
    found: dict[str, Counts] = defaultdict(dict)
    for value, figures in sums.items():
        provider, _, place = value.rpartition(_BY)
        if place:
            found[provider][int(place)] = figures["requests"]
    return dict(found)


def quantile(counts: Counts, share: float) -> float:
    """The duration (ms) that a ``share`` (0-1) of those counted do not exceed; of longer ones than
    can be told apart, the last bound. ``counts`` must not be empty.
    """
    places = sorted(place for place, count in counts.items() if count)
    upto = list(accumulate(counts[place] for place in places))
    wanted = share * upto[-1]
    at = next(n for n, sum_ in enumerate(upto) if sum_ >= wanted)
    place = places[at]
    if place == len(BOUNDS):
        return BOUNDS[-1]
    below = upto[at] - counts[place]
    within = (wanted - below) / counts[place]
    return float(BOUNDS[place] / _FACTOR ** (1 - within))
