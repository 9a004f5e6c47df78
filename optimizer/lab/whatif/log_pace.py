"""What the roll-ups say of the log: how many requests a month has, and how long answers are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from analytics.reports.figures import Figures
from analytics.reports.period_sums import SumQuery, sums_together
from analytics.reports.rollup_coverage import RollupCoverage
from analytics.reports.sum_sources import total_of
from analytics.reports.token_ratios import LENGTH_FIGURES, AnswerLengths

_MONTH = timedelta(days=30.4375)
"""The mean month."""
_SHORTEST = timedelta(days=1)
"""The least time over which requests are counted to tell how many a month has."""
_COUNTS = ("requests", "failed", "cache_hits")


@dataclass(frozen=True, slots=True)
class LogFacts:
    """The lengths of answers, and how many requests a month has at the pace of ``days``."""

    lengths: AnswerLengths
    monthly: float
    days: float


def log_facts(
    latest: Sequence[datetime], first: datetime | None, since: datetime, until: datetime | None,
    *, whole: bool,
) -> LogFacts:  # fmt: skip
    """Return what the roll-ups say of ``[since, until)``, of which ``latest`` are to be decided.

    ``first`` is the time of the first request that could be decided, and ``whole`` is whether
    all that could be are. Else they are counted from all that models answered, as their share of
    these is known for the time of the latest ones.
    """
    queries = [
        SumQuery(["answer"], since, until, figures=LENGTH_FIGURES),
        SumQuery(["strategy"], since, until, figures=_COUNTS),
    ]
    if latest:
        queries.append(SumQuery(["strategy"], latest[0], until, figures=_COUNTS))
    by_answer, *counts = sums_together(queries, RollupCoverage.now(since))
    lengths = AnswerLengths({value: figures for (_, value), figures in by_answer["answer"].items()})
    if first is None:
        return LogFacts(lengths, 0.0, 0.0)
    count = float(len(latest))
    if not whole:
        answered, lately = (_answered(total_of(sums["strategy"])) for sums in counts)
        count = answered * count / max(lately, 1)
    span = max((until or datetime.now(UTC)) - first, _SHORTEST)
    return LogFacts(lengths, count * (_MONTH / span), span / timedelta(days=1))


def _answered(figures: Figures) -> int:
    """Return how many requests a model answered."""
    return int(figures["requests"] - figures["failed"] - figures["cache_hits"])
