"""Quality next to savings: the scores of routed answers and of the baseline's answers.

If both models answered the same prompts, the difference is paired: the mean of
score less reference score over a random sample of the requests. Otherwise it is
estimated from ratings: within each kind of prompt (pattern and tier), the mean score
of other models' answers less the mean score of the baseline's answers, weighted by
how many requests of that kind went to other models.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from math import sqrt
from typing import Any

from django.db.models import Count, F, Q, Sum
from django.db.models.functions.datetime import TruncBase

from analytics.models import Comparison, Feedback
from analytics.money import MoneySum
from analytics.reports.intervals import Z

MIN_VERDICTS = 30
"""With fewer verdicts, quality has no interval."""

METHOD: dict[str, str | int | float] = {
    "name": "pairs-or-ratings", "version": 1, "minimum": MIN_VERDICTS, "z": Z,
}  # fmt: skip
"""What a proof says of how quality is computed; see :data:`analytics.reports.intervals.METHOD`."""

_PSEUDO = 2
"""Values added at each bound of a mean's interval (Agresti & Coull)."""
_PLACES = 6


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean with its 95 % interval, which is ``None`` below :data:`MIN_VERDICTS` verdicts."""

    mean: float | None
    low: float | None
    high: float | None
    count: int


NO_MEAN = Mean(None, None, None, 0)


def mean_of(
    count: int, total: float, squares: float, *, minimum: float = 0.0, maximum: float = 1.0
) -> Mean:
    """Return the mean of ``count`` values with this sum and sum of squares.

    The values lie between ``minimum`` and ``maximum``. The interval is Wald's over the values
    and two more at each bound, so that a hundred equal verdicts are not taken as certain
    (Agresti & Coull 1998).
    """
    if not count:
        return NO_MEAN
    mean = total / count
    if count < MIN_VERDICTS:
        return Mean(round(mean, _PLACES), None, None, count)
    n = count + 2 * _PSEUDO
    centre = (total + _PSEUDO * (minimum + maximum)) / n
    second = (squares + _PSEUDO * (minimum**2 + maximum**2)) / n
    half = Z * sqrt(max(second - centre**2, 0.0) / n)
    low, high = max(minimum, centre - half), min(maximum, centre + half)
    return Mean(round(mean, _PLACES), round(low, _PLACES), round(high, _PLACES), count)


def quality_report(
    tolerance: float, since: datetime, until: datetime | None = None
) -> dict[str, Any]:
    """Compare the quality of routed and of baseline answers in a period.

    ``verdict`` is "holds" if the difference is, with 95 % confidence, no worse
    than ``-tolerance``; "falls short" if it is worse; else "not shown".
    ``basis`` is the data behind the difference: "pairs", "ratings" or "nothing".
    """
    difference, baseline, routed = _paired(since, until)
    basis = "pairs"
    if difference.count < MIN_VERDICTS:
        difference, baseline, basis = NO_MEAN, NO_MEAN, "nothing"
        routed, by_kind = _rated(since, until)
        if by_kind is not None:
            (difference, baseline), basis = by_kind, "ratings"
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
    gain, scored = F("score") - F("reference_score"), Q(served=True, score__isnull=False)
    compared = _comparisons(since, until).values(at=step("created_at", tzinfo=UTC))
    compared = compared.order_by().annotate(
        n=Count("pk", filter=scored),
        total=Sum(gain, filter=scored, default=0.0),
        squares=Sum(gain * gain, filter=scored, default=0.0),
        paid=MoneySum(F("judge_cost") + F("answer_cost")),
    )
    rated = _feedback(since, until).values(at=step("request__created_at", tzinfo=UTC))
    rated = rated.order_by().annotate(
        n=Count("pk"), total=Sum("score"), squares=Sum(F("score") * F("score"))
    )
    steps: dict[datetime, QualityStep] = {
        row["at"]: QualityStep(
            mean_of(row["n"], row["total"], row["squares"], minimum=-1.0), judging=row["paid"]
        )
        for row in compared
    }
    for row in rated:
        mean = mean_of(row["n"], row["total"], row["squares"])
        steps[row["at"]] = replace(steps.get(row["at"], QualityStep()), rated=mean)
    return steps


def judging_cost(since: datetime, until: datetime | None = None) -> Any:
    """Return the USD spent on second answers and their judging in a period."""
    costs = _comparisons(since, until).aggregate(total=MoneySum(F("judge_cost") + F("answer_cost")))
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


def _comparisons(since: datetime, until: datetime | None) -> Any:
    return _in_period(Comparison.objects.all(), since, until)


def _feedback(since: datetime, until: datetime | None) -> Any:
    """Return the verdicts on answers of the period, without imported ones."""
    return _in_period(Feedback.objects.all(), since, until, "request__created_at")


def _paired(since: datetime, until: datetime | None) -> tuple[Mean, Mean, Mean]:
    """Return (difference, baseline, routed) means over the prompts that both models answered."""
    figures: dict[str, Any] = {
        "difference": F("score") - F("reference_score"),
        "baseline": F("reference_score"),
        "routed": F("score"),
    }
    rows = _comparisons(since, until).filter(served=True, score__isnull=False)
    sums = rows.aggregate(
        n=Count("pk"),
        **{f"{name}_total": Sum(figure, default=0.0) for name, figure in figures.items()},
        **{
            f"{name}_squares": Sum(figure * figure, default=0.0) for name, figure in figures.items()
        },
    )
    difference, baseline, routed = (
        mean_of(sums["n"], sums[f"{name}_total"], sums[f"{name}_squares"], minimum=minimum)
        for name, minimum in (("difference", -1.0), ("baseline", 0.0), ("routed", 0.0))
    )
    return difference, baseline, routed


@dataclass(slots=True)
class _Kind:
    """Verdicts on one kind of prompt, each as (count, sum, sum of squares)."""

    others: tuple[int, float, float] = (0, 0.0, 0.0)
    baseline: tuple[int, float, float] = (0, 0.0, 0.0)


def _rated(since: datetime, until: datetime | None) -> tuple[Mean, tuple[Mean, Mean] | None]:
    """Return the mean of all ratings, and (difference, baseline) over the kinds of prompt."""
    same = Q(
        provider=F("request__decision__baseline_provider"),
        model=F("request__decision__baseline_model"),
    )
    comparable = Q(request__decision__isnull=False) & ~Q(request__decision__baseline_model="")
    kinds: dict[tuple[str, str], _Kind] = {}
    total = [0, 0.0, 0.0]
    rows = (
        _feedback(since, until)
        .values("pattern", "tier", same=same, comparable=comparable)
        .annotate(n=Count("pk"), total=Sum("score"), squares=Sum(F("score") * F("score")))
        .order_by()
    )
    for row in rows:
        sums = (row["n"], row["total"], row["squares"])
        total = [figure + more for figure, more in zip(total, sums, strict=True)]
        if row["comparable"]:
            kind = kinds.setdefault((row["pattern"], row["tier"]), _Kind())
            setattr(kind, "baseline" if row["same"] else "others", sums)
    return mean_of(int(total[0]), total[1], total[2]), _across_kinds(kinds.values())


def _across_kinds(kinds: Iterable[_Kind]) -> tuple[Mean, Mean] | None:
    """Return the difference and the baseline's mean over all kinds in which both were rated.

    Return ``None`` below :data:`MIN_VERDICTS` verdicts on either.
    """
    shared = [kind for kind in kinds if kind.others[0] > 1 and kind.baseline[0] > 1]
    others = sum(kind.others[0] for kind in shared)
    rated = sum(kind.baseline[0] for kind in shared)
    if others < MIN_VERDICTS or rated < MIN_VERDICTS:
        return None
    answers = others + rated
    gain = variance = level = level_variance = 0.0
    for kind in shared:
        (n, total, _), (m, reference, _) = kind.others, kind.baseline
        share = n / answers
        gain += share * (total / n - reference / m)
        variance += share**2 * (_variance(kind.others) / n + _variance(kind.baseline) / m)
        weight = (n + m) / answers
        level += weight * reference / m
        level_variance += weight**2 * _variance(kind.baseline) / m
    return (
        _normal_mean(gain, variance, answers, -1.0),
        _normal_mean(level, level_variance, rated, 0.0),
    )


def _variance(sums: tuple[int, float, float]) -> float:
    """Return the variance of one verdict, with one more verdict at each bound.

    The two keep equal verdicts from being taken as certain.
    """
    n, total, squares = sums
    mean = (total + 1) / (n + 2)
    return max((squares + 1) / (n + 2) - mean**2, 0.0)


def _normal_mean(mean: float, variance: float, count: int, minimum: float) -> Mean:
    half = Z * sqrt(variance)
    low, high = max(minimum, mean - half), min(1.0, mean + half)
    return Mean(round(mean, _PLACES), round(low, _PLACES), round(high, _PLACES), count)
