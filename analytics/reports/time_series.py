"""A period's figures by time step, for charts; the sums are those of the reports."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from analytics.quality.report import QualityStep, quality_by
from analytics.reports.compared import ComparedWith
from analytics.reports.durations import Spread, counts_by_provider
from analytics.reports.figures import Figures, add_figures, no_figures, saved_of
from analytics.reports.intervals import SavingsInterval
from analytics.reports.period_sums import SumQuery, sums_together
from analytics.reports.repricing import RepricedSums
from analytics.reports.rollup_coverage import RollupCoverage
from analytics.reports.step_intervals import step_intervals
from analytics.reports.steps import Steps
from analytics.reports.sum_queries import Grouped
from analytics.reports.sum_sources import RECORDED

_SHOWN = (
    "requests", "failed", "cache_hits", "cost", "lost_cost", "routing_saved", "cache_saved",
    "prompt_cache_saved", "explored_saved",
)  # fmt: skip
_DIMENSIONS, _DURATIONS = ("strategy", "model"), ("latency", "first_token")


@dataclass(frozen=True, slots=True)
class TimeSeries:
    """The figures of a period by time step. All lists have one item per ``steps.starts``.

    ``saved`` is what each step saved in USD, less the cost of judging; ``intervals`` are the
    95 % intervals of its expectation, without bounds if the step's requests cannot say. ``by``
    holds the figures by "model" (as provider/model) and by "strategy"; ``durations`` the
    durations of calls ("latency") and of their first token ("first_token"), by provider;
    ``before`` the figures of as many steps of
    the period before.
    """

    steps: Steps
    totals: list[Figures]
    saved: list[Decimal]
    intervals: list[SavingsInterval]
    quality: list[QualityStep]
    by: dict[str, dict[str, list[Figures]]]
    durations: dict[str, dict[str, list[Spread | None]]]
    before: list[Figures]


def time_series(
    since: datetime, until: datetime, before: datetime, compared: ComparedWith | None = None
) -> TimeSeries:
    """Read the figures of ``[since, until)``, and of ``[before, since)`` to show beside them.

    Savings are ``compared`` with its baseline, by default the recorded one; those by "model" and
    those of the period before are always recorded.
    """
    sums = compared.sums() if compared is not None else RECORDED
    repriced = sums if isinstance(sums, RepricedSums) else None
    steps = Steps.of(since, until)
    earlier = Steps(steps.kind, steps.by, Steps.of(before, since).starts)
    horizon = RollupCoverage.now(before)
    if steps.kind == "hour":
        horizon = horizon.by_hours()
    queries = [
        SumQuery(_DIMENSIONS, since, until),
        SumQuery(_DURATIONS, since, until, figures=("requests",)),
        SumQuery(("strategy",), before, since),
    ]
    now, durations, previous = sums_together(queries, horizon, steps.by, _SHOWN)
    if repriced is not None:
        now["strategy"] = repriced.compare(now["strategy"], "strategy", steps.by, (since, until))
    verdicts = quality_by(steps.by, since, until)
    quality = [verdicts.get(start, QualityStep()) for start in steps.starts]
    totals = _totals(now["strategy"], steps.starts)
    intervals = [
        interval.less(step.judging)
        for interval, step in zip(
            step_intervals(steps, horizon, (since, until), repriced), quality, strict=True
        )
    ]
    return TimeSeries(
        steps,
        totals,
        [saved_of(figures) - step.judging for figures, step in zip(totals, quality, strict=True)],
        intervals,
        quality,
        {name: _by_value(now[name], steps.starts) for name in _DIMENSIONS},
        {name: _spreads(durations[name], steps.starts) for name in _DURATIONS},
        _of_length(_totals(previous["strategy"], earlier.starts), len(steps.starts)),
    )


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


def _of_length(steps: list[Figures], count: int) -> list[Figures]:
    """Cut or pad ``steps`` to ``count``.

    The period before may touch one week or month more, or one less.
    """
    return (steps + [no_figures() for _ in range(count)])[:count]
