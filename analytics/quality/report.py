"""Quality beside savings: what routed answers are worth, and what the baseline's would be.

Where prompts were answered by both, the difference is paired: the mean of
score less reference score over a random sample of the requests. Where they were
not, it is estimated from ratings: within each kind of prompt (pattern and tier)
the mean of answers by other models than the baseline less that of answers by
the baseline, weighted by how many requests of that kind went elsewhere.
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

LEAST = 30
"""Fewer verdicts than this say nothing about quality."""

_PSEUDO = 2
_PLACES = 6


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean with its 95 % interval, ``None`` where fewer than :data:`LEAST` verdicts."""

    mean: float | None
    low: float | None
    high: float | None
    count: int


NOTHING = Mean(None, None, None, 0)


def mean_of(
    count: int, total: float, squares: float, *, least: float = 0.0, most: float = 1.0
) -> Mean:
    """Of ``count`` values between ``least`` and ``most`` with this sum and sum of squares.

    The interval is Wald's over the values and two more at either bound, so that a
    hundred equal verdicts are no certainty (Agresti & Coull 1998).
    """
    if not count:
        return NOTHING
    mean = total / count
    if count < LEAST:
        return Mean(round(mean, _PLACES), None, None, count)
    n = count + 2 * _PSEUDO
    centre = (total + _PSEUDO * (least + most)) / n
    second = (squares + _PSEUDO * (least**2 + most**2)) / n
    half = Z * sqrt(max(second - centre**2, 0.0) / n)
    low, high = max(least, centre - half), min(most, centre + half)
    return Mean(round(mean, _PLACES), round(low, _PLACES), round(high, _PLACES), count)


def quality_report(
    tolerance: float, since: datetime, until: datetime | None = None
) -> dict[str, Any]:
    """Quality of routed and of baseline answers of a period, and whether it holds.

    ``verdict`` is "holds" where the difference is, with 95 % confidence, no worse
    than ``-tolerance``; "falls short" where it is worse; else "not shown".
    ``basis`` says what the difference rests on: "pairs", "ratings" or "nothing".
    """
    difference, baseline, routed = _paired(since, until)
    basis = "pairs"
    if difference.count < LEAST:
        difference, baseline, basis = NOTHING, NOTHING, "nothing"
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
    """Of one step in time: by how much routed answers were better than the baseline's where both
    are known, how answers were rated (0-1), and what judging cost, in USD.
    """

    difference: Mean = NOTHING
    rated: Mean = NOTHING
    judging: Decimal = Decimal(0)


def quality_by(
    step: type[TruncBase], since: datetime, until: datetime | None = None
) -> dict[datetime, QualityStep]:
    """Each step in ``[since, until)`` that has verdicts, by its start (UTC)."""
    gain, known = F("score") - F("reference_score"), Q(served=True, score__isnull=False)
    compared = _compared(since, until).values(at=step("created_at", tzinfo=UTC))
    compared = compared.order_by().annotate(
        n=Count("pk", filter=known),
        total=Sum(gain, filter=known, default=0.0),
        squares=Sum(gain * gain, filter=known, default=0.0),
        paid=MoneySum(F("judge_cost") + F("answer_cost")),
    )
    rated = _feedback(since, until).values(at=step("request__created_at", tzinfo=UTC))
    rated = rated.order_by().annotate(
        n=Count("pk"), total=Sum("score"), squares=Sum(F("score") * F("score"))
    )
    found: dict[datetime, QualityStep] = {
        row["at"]: QualityStep(
            mean_of(row["n"], row["total"], row["squares"], least=-1.0), judging=row["paid"]
        )
        for row in compared
    }
    for row in rated:
        mean = mean_of(row["n"], row["total"], row["squares"])
        found[row["at"]] = replace(found.get(row["at"], QualityStep()), rated=mean)
    return found


def judging_cost(since: datetime, until: datetime | None = None) -> Any:
    """USD spent on second answers and their judging in a period."""
    found = _compared(since, until).aggregate(total=MoneySum(F("judge_cost") + F("answer_cost")))
    return found["total"]


def _verdict(difference: Mean, tolerance: float) -> str:
    if difference.low is None or difference.high is None:
        return "not shown"
    if difference.low >= -tolerance:
        return "holds"
    return "falls short" if difference.high < -tolerance else "not shown"


def _in(rows: Any, since: datetime, until: datetime | None, at: str = "created_at") -> Any:
    rows = rows.filter(**{f"{at}__gte": since})
    return rows if until is None else rows.filter(**{f"{at}__lt": until})


def _compared(since: datetime, until: datetime | None) -> Any:
    return _in(Comparison.objects.all(), since, until)


def _feedback(since: datetime, until: datetime | None) -> Any:
    """Verdicts on answers of the period, not those imported from elsewhere."""
    return _in(Feedback.objects.all(), since, until, "request__created_at")


def _paired(since: datetime, until: datetime | None) -> tuple[Mean, Mean, Mean]:
    """Of prompts that both answered: the difference, the baseline's scores and the routed ones."""
    figures: dict[str, Any] = {
        "difference": F("score") - F("reference_score"),
        "baseline": F("reference_score"),
        "routed": F("score"),
    }
    rows = _compared(since, until).filter(served=True, score__isnull=False)
    sums = rows.aggregate(
        n=Count("pk"),
        **{f"{name}_total": Sum(figure, default=0.0) for name, figure in figures.items()},
        **{
            f"{name}_squares": Sum(figure * figure, default=0.0) for name, figure in figures.items()
        },
    )
    difference, baseline, routed = (
        mean_of(sums["n"], sums[f"{name}_total"], sums[f"{name}_squares"], least=least)
        for name, least in (("difference", -1.0), ("baseline", 0.0), ("routed", 0.0))
    )
    return difference, baseline, routed


@dataclass(slots=True)
class _Kind:
    """Verdicts of one kind of prompt: count, sum and squares, on others and on the baseline."""

    others: tuple[int, float, float] = (0, 0.0, 0.0)
    baseline: tuple[int, float, float] = (0, 0.0, 0.0)


def _rated(since: datetime, until: datetime | None) -> tuple[Mean, tuple[Mean, Mean] | None]:
    """The mean of all ratings, and what those of each kind of prompt say of the difference."""
    same = Q(
        provider=F("request__decision__baseline_provider"),
        model=F("request__decision__baseline_model"),
    )
    comparable = Q(request__decision__isnull=False) & ~Q(request__decision__baseline_model="")
    kinds: dict[tuple[str, str], _Kind] = {}
    every = [0, 0.0, 0.0]
    rows = (
        _feedback(since, until)
        .values("pattern", "tier", same=same, comparable=comparable)
        .annotate(n=Count("pk"), total=Sum("score"), squares=Sum(F("score") * F("score")))
        .order_by()
    )
    for row in rows:
        sums = (row["n"], row["total"], row["squares"])
        every = [one + more for one, more in zip(every, sums, strict=True)]
        if row["comparable"]:
            kind = kinds.setdefault((row["pattern"], row["tier"]), _Kind())
            setattr(kind, "baseline" if row["same"] else "others", sums)
    return mean_of(int(every[0]), every[1], every[2]), _across(kinds.values())


def _across(kinds: Iterable[_Kind]) -> tuple[Mean, Mean] | None:
    """The difference over all kinds in which both were rated, and the baseline's mean there."""
    known = [kind for kind in kinds if kind.others[0] > 1 and kind.baseline[0] > 1]
    others = sum(kind.others[0] for kind in known)
    rated = sum(kind.baseline[0] for kind in known)
    if others < LEAST or rated < LEAST:
        return None
    answers = others + rated
    gain = variance = level = level_variance = 0.0
    for kind in known:
        (n, total, _), (m, reference, _) = kind.others, kind.baseline
        share = n / answers
        gain += share * (total / n - reference / m)
        variance += share**2 * (_variance(kind.others) / n + _variance(kind.baseline) / m)
        weight = (n + m) / answers
        level += weight * reference / m
        level_variance += weight**2 * _variance(kind.baseline) / m
    return _around(gain, variance, answers, -1.0), _around(level, level_variance, rated, 0.0)


def _variance(sums: tuple[int, float, float]) -> float:
    """Of one verdict, with one more at either bound: equal verdicts are no certainty."""
    n, total, squares = sums
    mean = (total + 1) / (n + 2)
    return max((squares + 1) / (n + 2) - mean**2, 0.0)


def _around(mean: float, variance: float, count: int, least: float) -> Mean:
    half = Z * sqrt(variance)
    low, high = max(least, mean - half), min(1.0, mean + half)
    return Mean(round(mean, _PLACES), round(low, _PLACES), round(high, _PLACES), count)
