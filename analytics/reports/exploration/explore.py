"""Answers questions about spending: totals, groups, top movers, steps, and why spending changed.

Kept sums answer where they hold all dimensions of a question. Any other question is about at most
:data:`~analytics.reports.exploration.cells.MOST_REQUESTS` requests, those at the end of its
period, which are read one by one; the answer says so. The functions read the database, so do not
call them on the event loop.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from analytics.reports.durations import Spread
from analytics.reports.exploration.cells import (
    Cells,
    is_kept,
    kept_cells,
    most_requests,
    readable_span,
    row_cells,
)
from analytics.reports.exploration.explanation import (
    ChangeExplanation,
    explained,
    explained_from_rows,
    period_pair,
)
from analytics.reports.exploration.question import MEASURES, TIME, Measure, SpendQuestion
from analytics.reports.exploration.ratings import RatingCells, Ratings, rating_cells
from analytics.reports.exploration.scans import CellQuery
from analytics.reports.figures import no_figures
from analytics.reports.rollup_coverage import RollupCoverage
from analytics.reports.steps import Steps

_MOST_LAYERS = 5
_MOST_MOVERS = 5
MOST_TIMED = 100
"""The most values of a dimension that are read step by step."""
_SMALLEST_SHARE = 0.01
"""The share of the requests that a group has at least, for its means to count as moved."""

Compared = dict[str, Any]
"""The figures that were read, and "ratings": the :class:`Ratings` of the answers."""


@dataclass(frozen=True, slots=True)
class ExploredGroup:
    """The figures of one group now and in the period before.

    ``values`` are those of the question's dimensions without time; ``at`` is the start of the
    step, if the question groups by time.
    """

    values: tuple[str, ...]
    at: datetime | None
    now: Compared
    before: Compared

    def change(self, measure: Measure) -> Any:
        """Return how much ``measure`` changed; ``None`` if it is unknown in either period."""
        now, before = measure.of(self.now), measure.of(self.before)
        return None if now is None or before is None else now - before


@dataclass(frozen=True, slots=True)
class ExploredSteps:
    """A measure by step: of all, of the largest groups, and of all in the period before."""

    steps: Steps
    all: Sequence[Any]
    groups: Mapping[str, Sequence[Any]]
    before: Sequence[Any]


@dataclass(frozen=True, slots=True)
class ExploredSpending:
    """The answer to a question. ``asked`` is the question, ``question`` the part that was read.

    ``groups`` are in no order; ``latency`` is the spread of calls (ms) now and before, where sums
    hold it. ``left_out`` is how many values have no groups, as their steps were not read.
    """

    asked: SpendQuestion
    question: SpendQuestion
    total: ExploredGroup
    groups: Sequence[ExploredGroup]
    latency: tuple[Spread | None, Spread | None]
    steps: ExploredSteps
    why: ChangeExplanation
    is_shortened: bool = field(default=False)
    left_out: int = 0

    def movers(self, measure: Measure) -> list[ExploredGroup]:
        """Return the groups whose ``measure`` changed the most, the largest change first.

        Means count for groups with a hundredth of the requests or more in both periods.
        """
        read = {*measure.reads, "requests", "ratings"}
        groups = [group for group in _over_time(self.groups, read) if group.change(measure)]
        if not measure.additive:
            least = [
                _SMALLEST_SHARE * period["requests"]
                for period in (self.total.now, self.total.before)
            ]
            groups = [
                group
                for group in groups
                if group.now["requests"] >= least[0] and group.before["requests"] >= least[1]
            ]
        groups.sort(key=lambda group: (-abs(group.change(measure)), group.values))
        return groups[:_MOST_MOVERS]


def explore(
    question: SpendQuestion,
    output_weights: Mapping[str, float] | None = None,
    *,
    most_timed: int | None = MOST_TIMED,
) -> ExploredSpending:
    """Answer ``question``; ``output_weights`` are those of :func:`change_causes`.

    Groups by time and a dimension are those of its ``most_timed`` largest values; ``None`` for all.
    """
    asked = question
    filters, dimensions = question.filters, question.dimensions
    kept = is_kept({*filters, *dimensions})
    if not kept:
        most = most_requests(dimensions)
        question = question.within(readable_span(filters, question.before, question.until, most))
    steps = Steps.of(question.since, question.until)
    by_step = steps.by if TIME in question.by else None
    why_here = not kept or is_kept({*filters, "model"})
    pairs = [period_pair(question), period_pair(question, dimensions, by_step)]
    if why_here:
        pairs.append(period_pair(question, ("model",)))
    horizon = RollupCoverage.now(question.before)
    if steps.kind == "hour":
        horizon = horizon.by_hours()
    left_out = 0
    if kept and by_step is not None and dimensions and most_timed is not None:
        among = _largest_of_all(question, horizon)
        left_out = len(among) - most_timed
        if left_out > 0:
            pairs[1] = [replace(query, among=among[:most_timed]) for query in pairs[1]]
    queries = [query for pair in pairs for query in pair]
    latency: tuple[Spread | None, Spread | None] = (None, None)
    if kept:
        spans = (
            [(query.since, query.until) for query in pairs[0]]
            if filters.keys() <= {"provider"}
            else []
        )
        cells, spreads = kept_cells(queries, filters, horizon, spans)
        if spreads:
            latency = spreads[0], spreads[1]
    else:
        cells = row_cells(queries, filters)
    measure, stepped = MEASURES[question.measure], _step_queries(question, steps)
    # Where ratings are drawn, they are read once for groups and steps.
    rated = rating_cells([*queries[:4], *(stepped if measure.name == "quality" else ())], filters)
    compared = [_compared(*both) for both in zip(cells[:4], rated[:4], strict=True)]
    groups = _groups(compared[2], compared[3], steps, question)
    total = ExploredGroup(
        (), None, compared[0].get((None, ()), _nothing()), compared[1].get((None, ()), _nothing())
    )
    if why_here:
        why = explained(question, cells[4], cells[5], output_weights)
    else:
        why = explained_from_rows(question, output_weights)
    read: Callable[[Sequence[CellQuery]], list[Cells]] = (
        (lambda wanted: kept_cells(wanted, filters, horizon, (), measure.reads)[0])
        if kept
        else (lambda wanted: row_cells(wanted, filters, measure.reads))
    )
    return ExploredSpending(
        asked,
        question,
        total,
        groups,
        latency,
        _by_step(question, steps, _largest(groups, measure), read, measure, rated[4:]),
        why,
        is_shortened=question is not asked,
        left_out=max(0, left_out),
    )


def _largest_of_all(question: SpendQuestion, horizon: RollupCoverage) -> list[str]:
    """Return the values of the first dimension, the largest by the question's measure first."""
    measure = MEASURES[question.measure]
    reads = measure.reads if measure.additive else ("requests",)
    periods, _ = kept_cells(
        period_pair(question, question.dimensions[:1]), question.filters, horizon, (), reads
    )
    sizes: dict[str, Any] = {}
    for cells in periods:
        for (_, (name,)), figures in cells.items():
            size = measure.of(figures) if measure.additive else figures["requests"]
            sizes[name] = max(sizes.get(name, 0), abs(size))
    return sorted(sizes, key=lambda name: (-sizes[name], name))


def _nothing() -> Compared:
    return {**no_figures(), "ratings": Ratings()}


def _compared(cells: Cells, ratings: RatingCells) -> dict[Any, Compared]:
    unrated = Ratings()
    return {
        key: {**figures, "ratings": ratings.get(key, unrated)} for key, figures in cells.items()
    }


def _groups(
    now: Mapping[Any, Compared],
    before: Mapping[Any, Compared],
    steps: Steps,
    question: SpendQuestion,
) -> list[ExploredGroup]:
    """Return the groups, each step beside the one of the same place in the period before."""
    if TIME in question.by:
        earlier = Steps.of(*question.previous).starts
        places = dict(zip(earlier, steps.starts, strict=False))
        before = {
            (places[at], values): figures
            for (at, values), figures in before.items()
            if at in places
        }
    nothing = _nothing()
    return [
        ExploredGroup(values, at, now.get((at, values), nothing), before.get((at, values), nothing))
        for at, values in {**now, **before}
    ]


def _over_time(groups: Iterable[ExploredGroup], read: Collection[str]) -> list[ExploredGroup]:
    """Return the groups with their steps added up, with the figures of ``read``."""
    nothing, sums = _nothing(), dict[tuple[str, ...], ExploredGroup]()
    for group in groups:
        if group.at is None:
            sums[group.values] = group
            continue
        if (whole := sums.get(group.values)) is None:
            now, before = ({name: nothing[name] for name in read} for _ in range(2))
            whole = sums[group.values] = ExploredGroup(group.values, None, now, before)
        for name in read:
            whole.now[name] += group.now[name]
            whole.before[name] += group.before[name]
    return list(sums.values())


def _largest(groups: Iterable[ExploredGroup], measure: Measure) -> list[str]:
    """Return the values of the first dimension with the most of ``measure``, or requests."""
    sums: dict[str, Any] = {}
    for group in groups:
        if group.values:
            name = group.values[0]
            size = measure.of(group.now) if measure.additive else group.now["requests"]
            sums[name] = sums.get(name, 0) + size
    return sorted(sums, key=lambda name: (-abs(sums[name]), name))[:_MOST_LAYERS]


def _step_queries(question: SpendQuestion, steps: Steps) -> list[CellQuery]:
    """Return the queries of all steps, now and before, and of those of the first dimension."""
    queries = [
        CellQuery((), question.since, question.until, steps.by),
        CellQuery((), *question.previous, steps.by),
    ]
    if question.dimensions:
        first = question.dimensions[:1]
        queries.append(CellQuery(first, question.since, question.until, steps.by))
    return queries


def _by_step(
    question: SpendQuestion,
    steps: Steps,
    largest: list[str],
    read: Callable[[Sequence[CellQuery]], list[Cells]],
    measure: Measure,
    rated: Sequence[RatingCells],
) -> ExploredSteps:
    """Return the steps of the measure; ``rated`` are its ratings, if it is the rating."""
    queries = _step_queries(question, steps)
    if not largest:
        queries = queries[:2]
    elif len(queries) > 2:
        queries[2] = replace(queries[2], among=largest)
    cells: list[Any] = [
        {key: {"ratings": ratings} for key, ratings in one.items()} for one in rated
    ] or list(read(queries))

    def values(cells: Mapping[Any, Any], starts: Sequence[datetime], key: tuple[str, ...]) -> Any:
        return [measure.of(cells.get((start, key), _nothing())) for start in starts]

    earlier = Steps.of(*question.previous).starts
    before = values(cells[1], earlier, ())[: len(steps.starts)]
    return ExploredSteps(
        steps,
        values(cells[0], steps.starts, ()),
        {name: values(cells[2], steps.starts, (name,)) for name in largest},
        [*before, *[None] * (len(steps.starts) - len(before))],
    )
