"""A period's figures by time step, for charts; the sums are those of the reports."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from django.db.models.functions import TruncDay, TruncHour, TruncMonth, TruncWeek

from analytics.quality.report import QualityStep, quality_by
from analytics.reports.durations import Spread, counts_by_provider
from analytics.reports.figures import Figures, add_figures, no_figures, saved_of
from analytics.reports.intervals import SavingsInterval, total_interval
from analytics.reports.rollup_coverage import DAY, HOUR, RollupCoverage, day_of, hour_of
from analytics.reports.sum_queries import Grouped, Step, SumQuery, sums_together

_HOURS, _DAYS, _WEEKS = timedelta(days=2), timedelta(days=45), timedelta(days=190)
_SHOWN = (
    "requests", "failed", "cache_hits", "cost", "lost_cost", "routing_saved", "cache_saved",
    "prompt_cache_saved", "explored_saved",
)  # fmt: skip
_DIMENSIONS, _DURATIONS = ("strategy", "model"), ("latency", "first_token")
_PAIR_FIGURES = ("paired", "paired_cost", "lost_cost", "baseline_cost")
_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Steps:
    """The time steps of a period.

    ``kind`` is "hour", "day", "week" or "month" (UTC, weeks begin on Monday), chosen so that a
    chart stays readable. ``starts`` are the starts of all steps that the period touches.
    """

    kind: str
    by: Step
    starts: Sequence[datetime]

    @classmethod
    def of(cls, since: datetime, until: datetime) -> Steps:
        """Return the steps of ``[since, until)``."""
        length = until - since
        if length <= _HOURS:
            return cls("hour", TruncHour, _every(HOUR, hour_of(since), until))
        if length <= _DAYS:
            return cls("day", TruncDay, _every(DAY, day_of(since), until))
        if length <= _WEEKS:
            monday = day_of(since) - DAY * since.astimezone(UTC).weekday()
            return cls("week", TruncWeek, _every(7 * DAY, monday, until))
        return cls("month", TruncMonth, _months(since, until))


@dataclass(frozen=True, slots=True)
class TimeSeries:
    """The figures of a period by time step. All lists have one item per ``steps.starts``.

    ``saved`` is what each step saved in USD, less the cost of judging; ``intervals`` are its
    95 % intervals, ``None`` with too few requests. ``by`` holds the figures by "model" (as
    provider/model) and by "strategy"; ``durations`` the durations of calls ("latency") and of
    their first token ("first_token"), by provider; ``before`` the figures of as many steps of
    the period before.
    """

    steps: Steps
    totals: list[Figures]
    saved: list[Decimal]
    intervals: list[SavingsInterval | None]
    quality: list[QualityStep]
    by: dict[str, dict[str, list[Figures]]]
    durations: dict[str, dict[str, list[Spread | None]]]
    before: list[Figures]


def time_series(since: datetime, until: datetime, before: datetime) -> TimeSeries:
    """Read the figures of ``[since, until)``, and of ``[before, since)`` to compare with."""
    steps = Steps.of(since, until)
    earlier = Steps(steps.kind, steps.by, Steps.of(before, since).starts)
    horizon = RollupCoverage.now(before)
    if steps.kind == "hour":
        horizon = horizon.by_hours()
    queries = [
        SumQuery((*_DIMENSIONS, *_DURATIONS), since, until),
        SumQuery(("strategy",), before, since),
    ]
    now, previous = sums_together(queries, horizon, steps.by, _SHOWN)
    pairs = sums_together([SumQuery(("group",), since, until)], horizon, steps.by, _PAIR_FIGURES)[
        0
    ]["group"]
    verdicts = quality_by(steps.by, since, until)
    quality = [verdicts.get(start, QualityStep()) for start in steps.starts]
    totals = _totals(now["strategy"], steps.starts)
    intervals = _intervals(pairs, steps.starts, [step.judging for step in quality])
    return TimeSeries(
        steps,
        totals,
        [saved_of(figures) - step.judging for figures, step in zip(totals, quality, strict=True)],
        intervals,
        quality,
        {name: _by_value(now[name], steps.starts) for name in _DIMENSIONS},
        {name: _spreads(now[name], steps.starts) for name in _DURATIONS},
        _of_length(_totals(previous["strategy"], earlier.starts), len(steps.starts)),
    )


def _every(length: timedelta, first: datetime, until: datetime) -> list[datetime]:
    return [first + length * n for n in range(-((first - until) // length))]


def _months(since: datetime, until: datetime) -> list[datetime]:
    starts = [day_of(since).replace(day=1)]
    while (following := (starts[-1] + 32 * DAY).replace(day=1)) < until:
        starts.append(following)
    return starts


def _totals(grouped: Grouped, starts: Sequence[datetime]) -> list[Figures]:
    sums: dict[datetime, Figures] = defaultdict(no_figures)
    for (at, _), figures in grouped.items():
        add_figures(sums[at], figures)
    return [sums[start] for start in starts]


def _by_value(grouped: Grouped, starts: Sequence[datetime]) -> dict[str, list[Figures]]:
    """Return the figures of each value, one item per step."""
    zero = no_figures()
    values = sorted({value for _, value in grouped})
    return {value: [grouped.get((start, value), zero) for start in starts] for value in values}


def _spreads(grouped: Grouped, starts: Sequence[datetime]) -> dict[str, list[Spread | None]]:
    steps = [
        counts_by_provider(
            {value: figures for (at, value), figures in grouped.items() if at == start}
        )
        for start in starts
    ]
    providers = sorted({provider for step in steps for provider in step})
    return {
        provider: [Spread.of(step.get(provider, {})) for step in steps] for provider in providers
    }


def _intervals(
    pairs: Grouped, starts: Sequence[datetime], judging: Sequence[Decimal]
) -> list[SavingsInterval | None]:
    groups: dict[datetime, list[tuple[int, Decimal]]] = defaultdict(list)
    # Sorted, so that the same requests give the same interval.
    for (at, _), figures in sorted(pairs.items()):
        saved = figures["baseline_cost"] - figures["paired_cost"] - figures["lost_cost"]
        groups[at].append((figures["paired"], saved))
    intervals = [total_interval(groups[start]) if start in groups else None for start in starts]
    return [
        SavingsInterval(interval.low - cost, interval.high - cost) if interval else None
        for interval, cost in zip(intervals, judging, strict=True)
    ]


def _of_length(steps: list[Figures], count: int) -> list[Figures]:
    """Cut or pad ``steps`` to ``count``.

    The period before may touch one week or month more, or one less.
    """
    return (steps + [no_figures() for _ in range(count)])[:count]
