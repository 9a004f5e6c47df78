"""The answers of the page "Explore" as cells of tables, a chart, and lines of CSV."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

from django.urls import reverse

from analytics.money import percent
from analytics.money_shown import rounded_dollars, shown_dollars
from analytics.reports.exploration.dimensions import list_filters
from analytics.reports.exploration.explore import ExploredGroup, ExploredSpending
from analytics.reports.exploration.question import MEASURES, TIME, Measure
from analytics.templatetags.analytics_format import short
from optimizer.control_room.pages.explore.address import GROUPS, ExploreAddress
from optimizer.control_room.pages.period import ReportPeriod
from optimizer.presentation.change_causes import signed_dollars
from optimizer.presentation.charts import Chart, Series

MOST_ROWS = 100
_FORMATS = {"hour": "%b %-d, %H:%M", "day": "%Y-%m-%d", "week": "%Y-%m-%d", "month": "%Y-%m"}
_LEAST_CHANGE, _TIMES = 0.5, 1000
"""Per cent: less is no change, and more is said in times."""


@dataclass(frozen=True, slots=True)
class FigureCell:
    """A figure and its change as text; ``tone`` is "better", "worse" or empty."""

    text: str
    change: str = ""
    tone: str = ""


@dataclass(frozen=True, slots=True)
class MeasureCard:
    """A measure of all requests, with the address of the page that draws it."""

    label: str
    cell: FigureCell
    query: str
    is_shown: bool
    note: str = ""


@dataclass(frozen=True, slots=True)
class GroupRow:
    """A group: its names, each with the address that explores it alone, and its figures."""

    names: Sequence[tuple[str, str]]
    cells: Sequence[FigureCell]
    requests: str


@dataclass(frozen=True, slots=True)
class SortHeading:
    """The heading of a column, with the address that sorts by it; ``order`` is aria-sort's."""

    label: str
    query: str
    order: str


def _in_text(measure: Measure, value: Any) -> str:
    """Format a value within a sentence, where it has no title of its own."""
    usd = measure.unit == "usd" and value is not None
    return rounded_dollars(value) if usd else amount(measure, value)


def amount(measure: Measure, value: Any) -> str:
    """Format a value of ``measure``; a dash if it is unknown."""
    if value is None:
        return "–"
    if measure.unit == "usd":
        return shown_dollars(value)
    if measure.unit == "ms":
        return f"{value:,.0f} ms"
    if measure.unit == "percent":
        return f"{value:.1f} %"
    if measure.unit == "tokens":
        return short(value)
    return f"{value:.3f}" if measure.unit == "score" else f"{value:,}"


def figure_cell(measure: Measure, group: ExploredGroup) -> FigureCell:
    """Return a group's measure with its change: in per cent, or in points of a share or score."""
    now, before = measure.of(group.now), measure.of(group.before)
    text = amount(measure, now)
    change = group.change(measure)
    if change is None or not change:
        return FigureCell(text)
    tone = ""
    if measure.good:
        tone = "better" if (change > 0) == (measure.good > 0) else "worse"
    if measure.unit == "percent":
        return FigureCell(text, f"{change:+.1f} points", tone)
    if measure.unit == "score":
        return FigureCell(text, f"{change:+.3f}", tone)
    if not before:
        return FigureCell(text, "new")
    share = 100 * float(change) / abs(float(before))
    if abs(share) < _LEAST_CHANGE:
        return FigureCell(text, "±0 %")
    if abs(share) >= _TIMES:
        return FigureCell(text, f"{share / 100:+,.0f} times", tone)
    return FigureCell(text, f"{share:+.0f} %", tone)


def cards(answer: ExploredSpending, address: ExploreAddress) -> list[MeasureCard]:
    """Return the measures of all requests; each picks what the chart and the movers show."""
    made = []
    for measure in MEASURES.values():
        note = ""
        if measure.name == "latency" and answer.latency[0] is not None:
            note = f"95 % of calls within {answer.latency[0].p95:,.0f} ms"
        if measure.name == "saved":
            baseline = answer.total.now["baseline_cost"]
            note = f"{percent(measure.of(answer.total.now), baseline, 1):.1f} % of the baseline"
        if measure.name == "quality" and (count := answer.total.now["ratings"].count):
            note = f"{count:,} ratings"
        query = replace(address, measure=measure.name).query()
        made.append(
            MeasureCard(
                measure.label, figure_cell(measure, answer.total), query,
                measure.name == address.measure, note,
            )
        )  # fmt: skip
    return made


def group_names(answer: ExploredSpending, group: ExploredGroup) -> list[str]:
    """Return what the group is called in each column of its names."""
    values = iter(group.values)
    return [
        _step_name(answer, group.at) if name == TIME else next(values)
        for name in answer.question.by
    ]


def sorted_groups(answer: ExploredSpending, address: ExploreAddress) -> list[ExploredGroup]:
    """Return all groups in the order that the address names: by time, else by the measure."""
    if TIME in answer.question.by and not address.sort:
        return sorted(
            answer.groups,
            key=lambda group: (group.at, -group.now["cost"], group.values),
        )
    measure = MEASURES[address.sort.removeprefix("-") or address.measure]
    ascending = address.sort.startswith("-")

    def place(group: ExploredGroup) -> tuple[bool, float, tuple[str, ...]]:
        value = measure.of(group.now)
        size = 0.0 if value is None else float(value)
        return value is None, size if ascending else -size, group.values

    return sorted(answer.groups, key=place)


def headings(address: ExploreAddress) -> list[SortHeading]:
    """Return the headings of the measures; a second click sorts the other way."""
    now = address.sort or (address.measure if TIME not in address.by else "")
    made = []
    for measure in MEASURES.values():
        order = {measure.name: "descending", f"-{measure.name}": "ascending"}.get(now, "none")
        sort = f"-{measure.name}" if order == "descending" else measure.name
        made.append(SortHeading(measure.label, replace(address, sort=sort).query(), order))
    return made


def group_rows(answer: ExploredSpending, address: ExploreAddress) -> list[GroupRow]:
    """Return the first :data:`MOST_ROWS` groups."""
    rows = []
    for group in sorted_groups(answer, address)[:MOST_ROWS]:
        own = dict(zip(answer.question.dimensions, group.values, strict=True))
        names = []
        for dimension, name in zip(answer.question.by, group_names(answer, group), strict=True):
            if dimension == TIME:
                names.append((name, _step_query(answer, address, group.at)))
            else:
                names.append((name, address.among({dimension: name}).query()))
        cells = [figure_cell(measure, group) for measure in MEASURES.values()]
        rows.append(GroupRow(names, cells, requests_address(answer, own, group.at)))
    return rows


def mover_lines(
    answer: ExploredSpending, address: ExploreAddress
) -> list[tuple[str, str, FigureCell]]:
    """Return the groups that moved the most: name, address, and change as text."""
    measure = MEASURES[address.measure]
    lines = []
    for group in answer.movers(measure):
        own = dict(zip(answer.question.dimensions, group.values, strict=True))
        change, cell = group.change(measure), figure_cell(measure, group)
        if measure.unit == "usd":
            text = signed_dollars(change)
        elif measure.unit in ("count", "tokens", "ms"):
            text = f"{change:+,.0f}{' ms' if measure.unit == 'ms' else ''}"
        else:
            text = cell.change
        periods = group.before, group.now
        was, now = (_in_text(measure, measure.of(figures)) for figures in periods)
        cell = FigureCell(text, f"from {was} to {now}", cell.tone)
        lines.append((", ".join(group.values), address.among(own).query(), cell))
    return lines


def chart(answer: ExploredSpending, address: ExploreAddress) -> dict[str, Any]:
    """Return the chart of the measure over time, ready for JSON."""
    measure, steps = MEASURES[address.measure], answer.steps
    spans = pairwise([*steps.steps.starts, answer.question.until])
    own: Mapping[str, str] = answer.question.filters
    rows = [_list_address(max(start, answer.question.since), end, own) for start, end in spans]
    series = [
        Series(name, _plain(values), "bar" if measure.additive else "line")
        for name, values in steps.groups.items()
    ]
    if not series or not measure.additive:
        series.insert(0, Series("All", _plain(steps.all), "bar" if measure.additive else "line"))
    elif "tag" not in answer.question.dimensions[:1]:
        rest = _rest(steps.all, list(steps.groups.values()))
        if any(rest):
            series.append(Series("Others", _plain(rest)))
    series.append(Series("Previous period", _plain(steps.before), "dashed", "spent"))
    unit = "count" if measure.unit == "tokens" else measure.unit
    made = Chart(
        "explored", f"{measure.label} by {steps.steps.kind}", unit, series,  # type: ignore[arg-type]
        "the line is the period before", stacked=measure.additive, rows=rows,
    )  # fmt: skip
    return {
        "step": steps.steps.kind,
        "labels": [start.isoformat() for start in steps.steps.starts],
        "chart": asdict(made),
    }


def csv_rows(answer: ExploredSpending, address: ExploreAddress) -> Iterator[Sequence[Any]]:
    """Yield a heading and all groups: every measure, now and in the period before."""
    names = [GROUPS[name] for name in answer.question.by]
    measures = list(MEASURES.values())
    yield [
        "From", "Until", *names,
        *(text for one in measures for text in (_titled(one), f"{_titled(one)}, period before")),
    ]  # fmt: skip
    for group in sorted_groups(answer, address) if names else [answer.total]:
        yield [
            answer.question.since, answer.question.until,
            *(group_names(answer, group) if names else ()),
            *(one.of(period) for one in measures for period in (group.now, group.before)),
        ]  # fmt: skip


def requests_address(answer: ExploredSpending, own: Mapping[str, str], at: datetime | None) -> str:
    """Return the address of the list of a group's requests."""
    since, until = answer.question.since, answer.question.until
    if at is not None:
        ends = dict(pairwise([*answer.steps.steps.starts, until]))
        since, until = max(at, since), ends[at]
    return _list_address(since, until, {**answer.question.filters, **own})


def _titled(measure: Measure) -> str:
    units = {"usd": "USD", "ms": "ms", "percent": "%"}
    return f"{measure.label} ({units[measure.unit]})" if measure.unit in units else measure.label


def _list_address(since: datetime, until: datetime, values: Mapping[str, str]) -> str:
    query = ReportPeriod(since, until, since, "").list_query(**list_filters(values))
    return f"{reverse('admin:analytics_requestrecord_changelist')}?{query}"


def _step_name(answer: ExploredSpending, at: datetime | None) -> str:
    if at is None:
        return ""
    return f"{at:{_FORMATS[answer.steps.steps.kind]}}"


def _step_query(answer: ExploredSpending, address: ExploreAddress, at: datetime | None) -> str:
    """Return the address that explores one step, by days; hours have no address of their own."""
    if at is None or answer.steps.steps.kind == "hour":
        return ""
    ends = dict(pairwise([*answer.steps.steps.starts, answer.question.until]))
    last = (ends[at] - timedelta(microseconds=1)).date()
    by = tuple(name for name in address.by if name != TIME)
    return replace(address.over(ReportPeriod.between(at.date(), last)), by=by).query()


def _rest(whole: Sequence[Any], parts: Sequence[Sequence[Any]]) -> list[Any]:
    return [
        total - sum((part[place] for part in parts), type(total)(0))
        for place, total in enumerate(whole)
    ]


def _plain(values: Sequence[Any]) -> list[Any]:
    return [str(value) if isinstance(value, Decimal) else value for value in values]
