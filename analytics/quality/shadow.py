"""Shadow evaluation: what another choice of model would have answered, and what that shows.

A sampled share of the requests that named their model is also answered by the model that routing
would have chosen, and a judge compares both answers blind. This module records the pairs, and
sums them by kind: quality and cost, each with the interval of its sessions and users.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from django.db import transaction
from django.db.models import F, Sum
from django.db.models.functions import TruncDate

from analytics.models import Comparison, ShadowAnswer, ShadowCount
from analytics.money import MoneySum
from analytics.quality.comparisons import Judgement, ScoredAnswer, comparison_record
from analytics.quality.means import NO_MEAN, Mean, mean_over
from analytics.reports.cluster_labels import Origin, labels_of
from routing.evaluation.clustered import Labels, TooFewClusters, mean_interval

EVEN = 0.5
"""The score of an answer that is as good as the other."""
FUNNEL = ("named", "eligible", "sampled", "judged")
"""The outcomes that every further one is a part of; all others are reasons to leave out."""
MOVES, TOO_FEW, WORSE, NOT_SHOWN, NOT_CHEAPER = VERDICTS = (
    "moves", "too few pairs", "worse", "not shown", "not cheaper",
)  # fmt: skip
"""What the pairs of a kind show: it can be moved, or why not."""
DIMENSIONS = ("requested_model", "pattern", "tier", "turn", "agent", "later_turn")


@dataclass(frozen=True, slots=True)
class ShadowFacts:
    """What is recorded of a second answer beside the comparison; costs are USD."""

    requested_model: str
    turn: str
    agent: str
    later_turn: bool
    same_model: bool
    served_cost: Decimal | None
    shadow_cost: Decimal | None


@transaction.atomic
def shadow_record(
    request_id: uuid.UUID,
    shadow: ScoredAnswer,
    served: ScoredAnswer,
    facts: ShadowFacts,
    judged: Judgement,
) -> ShadowAnswer | None:
    """Store a second answer's score and book what it cost; ``None`` if the request was deleted."""
    comparison = comparison_record(
        request_id,
        shadow,
        served,
        source=Comparison.Source.SHADOW,
        served=False,
        judged=judged,
    )
    if comparison is None:
        return None
    return ShadowAnswer.objects.create(comparison=comparison, **asdict(facts))


def shadow_counts_add(counts: Mapping[str, int], day: datetime | None = None) -> None:
    """Add requests to the outcomes of a UTC day, today by default. Several workers may do so."""
    today = (day or datetime.now(UTC)).date()
    for outcome, requests in sorted(counts.items()):
        row, _ = ShadowCount.objects.get_or_create(day=today, outcome=outcome)
        ShadowCount.objects.filter(pk=row.pk).update(requests=F("requests") + requests)


class ShadowKind(NamedTuple):
    """A kind of requests that can be left to routing by one rule."""

    requested_model: str
    pattern: str
    tier: str


@dataclass(frozen=True, slots=True)
class ShadowFigures:
    """What the pairs of a kind show.

    ``score`` is the share of verdicts that the second answers won, a tie counting half (0-1), and
    ``gain`` how far it lies above an even share, -0.5 to 0.5. Costs are USD, over the ``priced``
    pairs; ``saved`` is what the other choice saves a request, with its 95 % interval.
    ``same_model`` pairs had one model for both choices.
    """

    pairs: int
    wins: int
    ties: int
    losses: int
    same_model: int
    score: Mean
    gain: Mean
    priced: int
    served_cost: Decimal
    shadow_cost: Decimal
    saved: float | None
    saved_low: float | None
    saved_high: float | None

    @property
    def saved_percent(self) -> float | None:
        """Return the share of the cost that the other choice saves; ``None`` if unknown."""
        if not self.served_cost:
            return None
        return round(float(100 * (self.served_cost - self.shadow_cost) / self.served_cost), 2)

    def verdict(self, margin: float) -> str:
        """Return :data:`MOVES`, or which other of :data:`VERDICTS` keeps this kind from moving.

        ``margin`` is how far the score may lie below an even share.
        """
        if self.gain.low is None or self.gain.high is None:
            return TOO_FEW
        if self.gain.low < -margin:
            return WORSE if self.gain.high < -margin else NOT_SHOWN
        if not self.priced or self.shadow_cost >= self.served_cost:
            return NOT_CHEAPER
        return MOVES


class _Pair(NamedTuple):
    score: float
    same_model: bool
    served_cost: Decimal | None
    shadow_cost: Decimal | None
    origin: Origin
    values: Mapping[str, Any]


def shadow_report(margin: float, since: datetime, until: datetime | None = None) -> dict[str, Any]:
    """Return what shadow evaluation shows of a period: funnel, costs, and figures by kind.

    ``margin`` (0-0.5) is how far below an even share the score of a kind may surely lie for the
    kind to be moved. Reads every pair of the period.
    """
    pairs = _pairs(since, until)
    spent = _in(Comparison.objects.filter(source=Comparison.Source.SHADOW), since, until)
    costs = spent.aggregate(judging=MoneySum("judge_cost"), answers=MoneySum("answer_cost"))
    return {
        "from": since,
        "to": until or datetime.now(UTC),
        "margin": margin,
        "funnel": shadow_funnel(since, until),
        "failed": spent.filter(score__isnull=True).count(),
        "cost": costs,
        "overall": figures_of(pairs, margin),
        "by": {
            name: [
                {name: value, **figures_of(group, margin)}
                for value, group in _grouped(pairs, partial(_value_of, name))
            ]
            for name in DIMENSIONS
        },
        "kinds": [
            {**kind._asdict(), **figures_of(group, margin)}
            for kind, group in _grouped(pairs, _kind_of)
        ],
    }


def shadow_summary(since: datetime, margin: float) -> dict[str, Any]:
    """Return the figures of all pairs since then alone, for a report on other things."""
    pairs = _pairs(since, None)
    return figures_of(pairs, margin) if pairs else {"pairs": 0}


def shadow_funnel(since: datetime, until: datetime | None = None) -> dict[str, int]:
    """Return how many requests came to each outcome, the stages first, then the reasons."""
    rows = ShadowCount.objects.filter(day__gte=since.date())
    if until is not None:
        rows = rows.filter(day__lte=until.date())
    sums = dict(rows.values_list("outcome").annotate(n=Sum("requests")).order_by("-n"))
    stages = {stage: sums.pop(stage, 0) for stage in FUNNEL}
    return {**stages, **sums}


def figures_of(pairs: Sequence[_Pair], margin: float) -> dict[str, Any]:
    """Return the figures of pairs, with their verdict, as a report has them."""
    figures = _figures(pairs)
    return {
        **asdict(figures),
        "saved_percent": figures.saved_percent,
        "verdict": figures.verdict(margin),
    }


def _figures(pairs: Sequence[_Pair]) -> ShadowFigures:
    scores = np.array([pair.score for pair in pairs])
    origins = [pair.origin for pair in pairs]
    labels = labels_of(origins)
    score = mean_over(scores, origins, labels=labels) if pairs else NO_MEAN
    priced = [p for p in pairs if p.served_cost is not None and p.shadow_cost is not None]
    saved = _saved(priced, labels if len(priced) == len(pairs) else None)
    return ShadowFigures(
        pairs=len(pairs),
        wins=int((scores > EVEN).sum()),
        ties=int((scores == EVEN).sum()),
        losses=int((scores < EVEN).sum()),
        same_model=sum(pair.same_model for pair in pairs),
        score=score,
        gain=_less_even(score),
        priced=len(priced),
        served_cost=sum((p.served_cost or Decimal(0) for p in priced), Decimal(0)),
        shadow_cost=sum((p.shadow_cost or Decimal(0) for p in priced), Decimal(0)),
        saved=saved[0],
        saved_low=saved[1],
        saved_high=saved[2],
    )


def _less_even(score: Mean) -> Mean:
    def less(bound: float | None) -> float | None:
        return None if bound is None else round(bound - EVEN, 6)

    return Mean(less(score.mean), less(score.low), less(score.high), score.count)


def _saved(
    priced: Sequence[_Pair], labels: Labels | None
) -> tuple[float | None, float | None, float | None]:
    """Return what the other choice saves a request in USD, with its interval if there is one.

    ``labels`` are those of the pairs, if they are known already.
    """
    if not priced:
        return None, None, None
    values = np.array([float((p.served_cost or 0) - (p.shadow_cost or 0)) for p in priced])
    try:
        return mean_interval(values, labels or labels_of(pair.origin for pair in priced))
    except TooFewClusters:
        return float(values.mean()), None, None


def _value_of(name: str, pair: _Pair) -> Any:
    return pair.values[name]


def _kind_of(pair: _Pair) -> ShadowKind:
    return ShadowKind(*(pair.values[name] for name in ShadowKind._fields))


def _grouped(pairs: Sequence[_Pair], key: Callable[[_Pair], Any]) -> list[tuple[Any, list[_Pair]]]:
    """Return the pairs by ``key``, the most frequent first."""
    groups: dict[Any, list[_Pair]] = defaultdict(list)
    for pair in pairs:
        groups[key(pair)].append(pair)
    return sorted(groups.items(), key=lambda group: -len(group[1]))


_ORIGIN = (
    "comparison__pk", "comparison__request__session_id", "comparison__request__user_id",
    "comparison__request__api_key", TruncDate("comparison__created_at", tzinfo=UTC),
)  # fmt: skip
_VALUES = {
    "requested_model": "requested_model", "pattern": "comparison__pattern",
    "tier": "comparison__tier", "turn": "turn", "agent": "agent", "later_turn": "later_turn",
}  # fmt: skip


def _pairs(since: datetime, until: datetime | None) -> list[_Pair]:
    """Return the judged pairs of a period; one without its request is a cluster of its own."""
    rows = _in(ShadowAnswer.objects.all(), since, until, "comparison__created_at")
    rows = rows.filter(comparison__score__isnull=False).order_by("pk")
    columns = ("comparison__score", "same_model", "served_cost", "shadow_cost")
    pairs = []
    for score, same, served, shadow, pk, session, user, key, day, *values in rows.values_list(
        *columns, *_ORIGIN, *_VALUES.values()
    ):
        origin = Origin(str(pk), session or "", user or "", key or "", day)
        named = dict(zip(_VALUES, values, strict=True))
        pairs.append(_Pair(score, same, served, shadow, origin, named))
    return pairs


def _in(rows: Any, since: datetime, until: datetime | None, at: str = "created_at") -> Any:
    rows = rows.filter(**{f"{at}__gte": since})
    return rows if until is None else rows.filter(**{f"{at}__lt": until})
