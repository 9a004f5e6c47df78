"""Answers that were compared with the baseline's, and the quality that they show."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, NamedTuple

import numpy as np
from django.db.models import F
from django.db.models.functions import TruncDate, TruncHour
from django.db.models.functions.datetime import TruncBase

from analytics.models import Comparison
from analytics.money import MoneySum
from analytics.quality.means import MIN_VERDICTS, NO_MEAN, Mean, mean_over
from analytics.reports.cluster_labels import Origin, labels_of
from analytics.reports.rollup_coverage import start_of_day
from analytics.reports.steps import step_start

_COLUMNS = (
    "score", "reference_score", "pk", "request__session_id", "request__user_id",
    "request__api_key", TruncDate("created_at", tzinfo=UTC),
)  # fmt: skip


class ComparedPair(NamedTuple):
    """The scores (0-1) of the answer that was served and of the baseline's, and their origin."""

    score: float
    reference_score: float
    origin: Origin


class PairedQuality(NamedTuple):
    """The mean difference, and the means of the baseline's and of the routed answers."""

    difference: Mean
    baseline: Mean
    routed: Mean


def compared_pairs(rows: Any) -> list[ComparedPair]:
    """Return the pairs among comparisons; a pair without its request is a cluster of its own."""
    return [_pair(*row) for row in _scored(rows).values_list(*_COLUMNS)]


def pairs_with_cost(rows: Any) -> tuple[list[ComparedPair], Decimal]:
    """Return the pairs among comparisons, and what all of these cost in USD."""
    paid = rows.aggregate(paid=MoneySum(F("judge_cost") + F("answer_cost")))["paid"]
    return compared_pairs(rows), paid


def pairs_by(step: type[TruncBase], rows: Any) -> dict[datetime, list[ComparedPair]]:
    """Return the pairs among comparisons by step (UTC)."""
    steps: dict[datetime, list[ComparedPair]] = defaultdict(list)
    if step is TruncHour:
        for at, *row in _scored(rows).values_list(step("created_at", tzinfo=UTC), *_COLUMNS):
            steps[at].append(_pair(*row))
        return steps
    pairs = compared_pairs(rows)
    days = {pair.origin.day for pair in pairs}
    starts = {day: step_start(step, start_of_day(day)) for day in days}
    for pair in pairs:
        steps[starts[pair.origin.day]].append(pair)
    return steps


def _scored(rows: Any) -> Any:
    return rows.filter(served=True, score__isnull=False).order_by("pk")


def _pair(
    score: float, reference: float, pk: int, session: str, user: str, key: str, day: date
) -> ComparedPair:
    return ComparedPair(
        score, reference, Origin(str(pk), session or "", user or "", key or "", day)
    )


def paired_quality(pairs: Sequence[ComparedPair]) -> PairedQuality:
    """Return the quality that pairs show."""
    if len(pairs) < MIN_VERDICTS:
        return PairedQuality(NO_MEAN, NO_MEAN, NO_MEAN)
    origins = [pair.origin for pair in pairs]
    labels = labels_of(origins)
    score = np.array([pair.score for pair in pairs])
    reference = np.array([pair.reference_score for pair in pairs])
    return PairedQuality(
        mean_over(score - reference, origins, -1.0, labels),
        mean_over(reference, origins, labels=labels),
        mean_over(score, origins, labels=labels),
    )


def pair_gain(pairs: Sequence[ComparedPair]) -> Mean:
    """Return the mean difference alone."""
    gains = np.array([pair.score - pair.reference_score for pair in pairs])
    return mean_over(gains, [pair.origin for pair in pairs], -1.0)


def comparisons_in(since: datetime, until: datetime | None = None) -> Any:
    """Return the comparisons of ``[since, until)``."""
    rows = Comparison.objects.filter(created_at__gte=since)
    return rows if until is None else rows.filter(created_at__lt=until)
