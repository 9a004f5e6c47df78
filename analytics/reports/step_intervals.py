"""The intervals of savings of each step of a chart.

A step whose sums are all in the roll-ups has the same interval until one of these sums is written
anew, so each process keeps the intervals of such steps.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any
from uuid import UUID

from django.db.models.functions import TruncDay

from analytics.reports.figures import Figures, add_figures
from analytics.reports.intervals import GROUPED_BY, PAIR_FIGURES, SavingsInterval, interval_of
from analytics.reports.period_sums import SumQuery, sums_together
from analytics.reports.repricing import RepricedSums
from analytics.reports.rollup_coverage import RollupCoverage, Span, merged_spans
from analytics.reports.steps import Steps
from analytics.reports.sum_queries import Grouped

_MOST_KEPT = 2_000
_Key = tuple[UUID, Span]
_Groups = dict[datetime, dict[str, dict[Any, Figures]]]
"""The figures of each group of requests, by the start of the step and the kind of cluster."""
_kept: OrderedDict[_Key, SavingsInterval] = OrderedDict()
_lock = threading.Lock()


def step_intervals(
    steps: Steps, coverage: RollupCoverage, period: Span, repriced: RepricedSums | None = None
) -> list[SavingsInterval]:
    """Return the interval of what the requests of each step saved in ``period``.

    Savings are ``repriced`` against another baseline, by default the recorded one.
    """
    bounds = [max(steps.starts[0], period[0]), *steps.starts[1:], period[1]]
    spans = list(pairwise(bounds))
    keys = [None if repriced is not None else _key(span, coverage) for span in spans]
    with _lock:
        intervals = [None if key is None else _kept.get(key) for key in keys]
    missing = [place for place, interval in enumerate(intervals) if interval is None]
    for place, interval in zip(
        missing, _computed(steps, coverage, spans, missing, repriced), strict=True
    ):
        intervals[place] = interval
        _keep(keys[place], interval)
    return [interval for interval in intervals if interval is not None]


def _key(span: Span, coverage: RollupCoverage) -> _Key | None:
    """Return the key of a step's interval; ``None`` if its sums are not all in the roll-ups."""
    if coverage.revision is None or coverage.parts(*span).rows:
        return None
    return coverage.revision, span


def _keep(key: _Key | None, interval: SavingsInterval) -> None:
    if key is None:
        return
    with _lock:
        _kept[key] = interval
        while len(_kept) > _MOST_KEPT:
            _kept.popitem(last=False)


def _computed(
    steps: Steps, coverage: RollupCoverage, spans: Sequence[Span], places: Sequence[int],
    repriced: RepricedSums | None,
) -> list[SavingsInterval]:  # fmt: skip
    """Return the intervals of the steps at ``places``, read together."""
    groups: _Groups = {steps.starts[place]: {by: {} for by in GROUPED_BY} for place in places}
    read = merged_spans([spans[place] for place in places])
    queries = [SumQuery(tuple(GROUPED_BY.values()), *span) for span in read]
    if steps.kind == "month":
        queries += [SumQuery(("strategy",), *span, TruncDay) for span in read]
    sums = sums_together(queries, coverage, steps.by, PAIR_FIGURES) if queries else []
    for query, by_dimension in zip(queries, sums, strict=True):
        by_step = query.by or steps.by
        if repriced is not None:
            span = (query.since, query.until or spans[-1][1])
            by_dimension = {
                name: repriced.compare(grouped, name, by_step, span)
                for name, grouped in by_dimension.items()
            }
        if query.by is None:
            _add_clusters(groups, by_dimension)
        else:
            _add_days(groups, by_dimension["strategy"])
    return [interval_of(groups[steps.starts[place]]) for place in places]


def _add_clusters(groups: _Groups, by_dimension: Mapping[str, Grouped]) -> None:
    for by, dimension in GROUPED_BY.items():
        for (at, value), figures in by_dimension[dimension].items():
            groups[at][by][value] = figures


def _add_days(groups: _Groups, by_strategy: Grouped) -> None:
    """Add the figures of each day to those of its month."""
    for (day, _), figures in by_strategy.items():
        days = groups[day.replace(day=1)].setdefault("day", {})
        pair = {name: figures[name] for name in PAIR_FIGURES}
        add_figures(days.setdefault(day, dict.fromkeys(PAIR_FIGURES, 0)), pair)
