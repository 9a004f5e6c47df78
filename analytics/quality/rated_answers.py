"""Ratings of answers, weighed by how likely it was that the baseline's model answers.

Ratings count one request at a time: the mean of its verdicts. A request is comparable if a
provider answered it and its baseline is known; the propensity of the baseline's model is the
one that was recorded with the decision, and 1 or 0 if chance had no part in it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
from django.db.models import Count

from analytics.models import Feedback, RequestRecord
from analytics.quality.means import Mean, mean_between
from analytics.reports.cluster_labels import Origin, labels_of, origin_of
from analytics.reports.sum_queries import requests_in
from routing.evaluation.weighed_ratings import WeighedRatings, rated_difference

MAX_RATED = 20_000
"""The number of latest rated requests that are weighed; more hardly narrow the interval."""
Kind = tuple[str, str, str, str]
"""Pattern, tier, provider and model."""


class RatedAnswer(NamedTuple):
    """The mean rating of a request's answer; ``same`` if the baseline's own model gave it."""

    score: float
    kind: Kind
    propensity: float
    same: bool
    origin: Origin


def rated_quality(since: datetime, until: datetime | None) -> tuple[Mean, Mean] | None:
    """Return (difference, baseline) by ratings of a period; ``None`` if they cannot say."""
    rated = rated_answers(since, until)
    return weighed_quality(rated, answers_by_kind(since, until)) if rated else None


def weighed_quality(
    rated: Sequence[RatedAnswer], answers: Counter[Kind]
) -> tuple[Mean, Mean] | None:
    """Return (difference, baseline); ``answers`` counts all answers, rated or not, by kind."""
    rated_of = Counter(one.kind for one in rated)
    compared = rated_difference(
        WeighedRatings(
            np.array([one.score for one in rated]),
            np.array([min(1.0, rated_of[one.kind] / answers[one.kind]) for one in rated]),
            np.array([one.propensity for one in rated]),
            np.array([one.same for one in rated]),
        ),
        labels_of(one.origin for one in rated),
    )
    if compared is None:
        return None
    return (
        mean_between(compared.difference, len(rated)),
        mean_between(compared.baseline, sum(one.same for one in rated)),
    )


def rated_answers(since: datetime, until: datetime | None) -> list[RatedAnswer]:
    """Return the comparable rated requests of a period, latest first."""
    scores: dict[Any, list[float]] = defaultdict(list)
    verdicts = Feedback.objects.filter(request__in=_comparable(since, until))
    verdicts = verdicts.order_by("-request__created_at", "-request_id", "pk")
    for request, score in verdicts.values_list("request_id", "score")[:MAX_RATED]:
        scores[request].append(score)
    rows = RequestRecord.objects.filter(pk__in=list(scores)).select_related("decision")
    by_id = {row.pk: row for row in rows}
    return [
        _rated(by_id[request], sum(given) / len(given))
        for request, given in scores.items()
        if request in by_id
    ]


def answers_by_kind(since: datetime, until: datetime | None) -> Counter[Kind]:
    """Return how many comparable answers there are of each kind, rated or not."""
    columns = ("pattern", "tier", "provider", "model")
    rows = _comparable(since, until).order_by().values_list(*columns).annotate(n=Count("pk"))
    return Counter({(row[0], row[1], row[2], row[3]): row[4] for row in rows})


def propensities(decision: Any) -> dict[str, float]:
    """Return each model's probability of being chosen; 1 for the one that answered without chance.

    If something other than the strategy made the final choice (a rule, the
    conversation's cache, a fallback, a check), chance played no part.
    """
    metadata = decision.metadata
    served = str(decision.ref)
    if {"rejected_model", "intended_model", "cascade"} & metadata.keys():
        return {served: 1.0}
    recorded = {
        f"{candidate['provider']}/{candidate['model']}": float(candidate["propensity"])
        for candidate in metadata.get("candidates", [])
        if candidate.get("propensity") is not None
    }
    return recorded or {served: 1.0}


def baseline_propensity(decision: Any) -> float:
    """Return the probability (0-1) that the baseline's model is chosen for this request."""
    baseline = f"{decision.baseline_provider}/{decision.baseline_model}"
    return propensities(decision).get(baseline, 0.0)


def _comparable(since: datetime, until: datetime | None) -> Any:
    rows = requests_in(since, until).filter(cache_hit=False, decision__isnull=False)
    rows = rows.exclude(status=RequestRecord.Status.ERROR)
    return rows.exclude(decision__baseline_model="")


def _rated(row: Any, score: float) -> RatedAnswer:
    decision = row.decision
    baseline = decision.baseline_provider, decision.baseline_model
    return RatedAnswer(
        score,
        (row.pattern, row.tier, row.provider, row.model),
        baseline_propensity(decision),
        (row.provider, row.model) == baseline,
        origin_of(row),
    )
