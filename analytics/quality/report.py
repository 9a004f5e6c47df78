"""Quality next to savings: the scores of routed answers and of the baseline's answers.

If both models answered the same prompts, the difference is paired: the mean of
score less reference score over a random sample of the requests. Otherwise it is
estimated from ratings, weighed by the logged propensities of the baseline's model, so that
prompts that the router gave to one model or the other count alike. Without propensities
ratings show nothing, as a router gives the harder prompts to the better model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from django.db.models import (
    BigIntegerField,
    Count,
    DecimalField,
    F,
    FloatField,
    Sum,
    Value,
)
from django.db.models.functions import Cast
from django.db.models.functions.datetime import TruncBase

from analytics.models import Feedback
from analytics.money import MoneySum
from analytics.quality.means import MIN_VERDICTS, NO_MEAN, Mean, mean_of
from analytics.quality.pairs import (
    ComparedPair,
    compared_pairs,
    comparisons_in,
    paired_quality,
)
from analytics.quality.rated_answers import MAX_RATED, rated_quality
from analytics.quality.step_gains import ComparedRows, step_gains
from analytics.reports.intervals import Z
from routing.evaluation.clustered import (
    FEWEST_CLUSTERS,
    FEWEST_DAYS,
    LEVEL,
    SHORT_SKEW,
    SKEW,
    STUDENT,
)
from routing.evaluation.off_policy import MOST_UNSUPPORTED
from routing.evaluation.weighed_ratings import FEWEST_EFFECTIVE

METHOD: dict[str, str | int | float] = {
    "name": "pairs-or-ratings", "version": 4, "minimum": MIN_VERDICTS, "z": Z, "level": LEVEL,
    "skew": SKEW, "student": STUDENT, "short_skew": SHORT_SKEW, "fewest_clusters": FEWEST_CLUSTERS,
    "fewest_days": FEWEST_DAYS,
    "fewest_effective": FEWEST_EFFECTIVE, "most_unsupported": MOST_UNSUPPORTED,
    "most_rated": MAX_RATED,
}  # fmt: skip
"""What a proof says of how quality is computed; see :data:`analytics.reports.intervals.METHOD`."""


def quality_report(
    tolerance: float,
    since: datetime,
    until: datetime | None = None,
    pairs: Sequence[ComparedPair] | None = None,
) -> dict[str, Any]:
    """Compare the quality of routed and of baseline answers in a period.

    ``verdict`` is "holds" if the difference is, with 95 % confidence, no worse
    than ``-tolerance``; "falls short" if it is worse; else "not shown".
    ``basis`` is the data behind the difference: "pairs", "ratings" or "nothing". ``pairs`` are
    those of the period; by default they are read.
    """
    if pairs is None:
        pairs = compared_pairs(comparisons_in(since, until))
    if len(pairs) >= MIN_VERDICTS:
        difference, baseline, routed = paired_quality(pairs)
        basis = "pairs"
    else:
        difference, baseline, basis = NO_MEAN, NO_MEAN, "nothing"
        routed = _mean_rating(since, until)
        rated = rated_quality(since, until) if routed.count else None
        if rated is not None:
            (difference, baseline), basis = rated, "ratings"
    return {
        "routed": asdict(routed),
        "baseline": asdict(baseline),
        "difference": asdict(difference),
        "basis": basis,
        "tolerance": tolerance,
        "verdict": _verdict(difference, tolerance),
    }


@dataclass(frozen=True, slots=True)
class QualityStep:
    """The quality of one step in time.

    ``difference`` is the score of routed answers less the baseline's, over prompts with both;
    ``rated`` the mean rating of answers (0-1); ``judging`` the cost of judging, in USD.
    """

    difference: Mean = NO_MEAN
    rated: Mean = NO_MEAN
    judging: Decimal = Decimal(0)


def quality_by(
    step: type[TruncBase], since: datetime, until: datetime | None = None
) -> dict[datetime, QualityStep]:
    """Return the quality of each step in ``[since, until)`` with verdicts, by its start (UTC)."""
    comparisons = comparisons_in(since, until)
    steps: dict[datetime, QualityStep] = {}
    compared: dict[datetime, ComparedRows] = {}
    for row in _sums_by(step, _feedback(since, until), comparisons):
        at, before = row["at"], steps.get(row["at"], QualityStep())
        if row["kind"] == "rated":
            steps[at] = replace(before, rated=mean_of(row["n"], row["total"], row["squares"]))
        else:
            steps[at] = replace(before, judging=row["paid"])
            compared[at] = ComparedRows(row["n"], row["with_request"], row["ids"])
    for at, gain in step_gains(step, comparisons, compared).items():
        steps[at] = replace(steps[at], difference=gain)
    return steps


def _sums_by(step: type[TruncBase], feedback: Any, comparisons: Any) -> Any:
    """Return the sums of ratings and those of what judging cost, by step, in one query."""
    money = DecimalField(max_digits=30, decimal_places=10)
    rated = feedback.values(at=step("request__created_at", tzinfo=UTC), kind=Value("rated"))
    rated = rated.order_by().annotate(
        n=Count("pk"),
        total=Sum("score"),
        squares=Sum(F("score") * F("score")),
        paid=Value(None, output_field=money),
        with_request=Value(None, output_field=BigIntegerField()),
        ids=Value(None, output_field=BigIntegerField()),
    )
    paid = comparisons.values(at=step("created_at", tzinfo=UTC), kind=Value("paid"))
    paid = paid.order_by().annotate(
        n=Count("pk"),
        total=Value(None, output_field=FloatField()),
        squares=Value(None, output_field=FloatField()),
        paid=MoneySum(F("judge_cost") + F("answer_cost")),
        with_request=Count("request"),
        ids=Cast(Sum("pk"), BigIntegerField()),
    )
    return rated.union(paid, all=True)


def judging_cost(since: datetime, until: datetime | None = None, source: str = "") -> Any:
    """Return the USD spent on second answers and their judging in a period.

    ``source`` counts comparisons of that source alone (:class:`analytics.models.Comparison`).
    """
    rows = comparisons_in(since, until)
    costs = (rows.filter(source=source) if source else rows).aggregate(
        total=MoneySum(F("judge_cost") + F("answer_cost"))
    )
    return costs["total"]


def _verdict(difference: Mean, tolerance: float) -> str:
    if difference.low is None or difference.high is None:
        return "not shown"
    if difference.low >= -tolerance:
        return "holds"
    return "falls short" if difference.high < -tolerance else "not shown"


def _in_period(rows: Any, since: datetime, until: datetime | None, at: str = "created_at") -> Any:
    rows = rows.filter(**{f"{at}__gte": since})
    return rows if until is None else rows.filter(**{f"{at}__lt": until})


def _feedback(since: datetime, until: datetime | None) -> Any:
    """Return the verdicts on answers of the period, without imported ones."""
    return _in_period(Feedback.objects.all(), since, until, "request__created_at")


def _mean_rating(since: datetime, until: datetime | None) -> Mean:
    """Return the mean of all ratings of a period."""
    sums = _feedback(since, until).aggregate(
        n=Count("pk"),
        total=Sum("score", default=0.0),
        squares=Sum(F("score") * F("score"), default=0.0),
    )
    return mean_of(sums["n"], sums["total"], sums["squares"])
