"""A period's requests by one dimension: day, model, user, session, agent, team and more."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from analytics.access.keys import team_of
from analytics.money import percent
from analytics.reports.figures import Figures, add_figures, no_figures, saved_of
from analytics.reports.sum_sources import RECORDED, ReportSums

DIMENSIONS = ("day", "model", "provider", "pattern", "user", "tag", "endpoint", "basis",
              "session", "agent", "turn", "tool", "key", "team", "project")  # fmt: skip
NONE, OTHERS = "(none)", "(others)"
SUMMED = frozenset((NONE, OTHERS))
"""Names of rows that stand for no value or for several."""
_SHOWN = (
    "requests", "failed", "cache_hits", "tokens_in", "tokens_out", "cost", "baseline_cost",
    "routing_saved", "cache_saved",
)  # fmt: skip


def _provider_of(model: str) -> str:
    return model.split("/", 1)[0]


# Dimensions that are summed from another one, and how its values are named.
_SUMMED_FROM: dict[str, tuple[str, Callable[[str], str]]] = {
    "provider": ("model", _provider_of),
    "team": ("tenant", team_of),
}


def breakdown(
    by: str,
    since: datetime,
    until: datetime | None = None,
    *,
    most: int | None = None,
    source: ReportSums = RECORDED,
) -> list[dict[str, Any]]:
    """Return one row per value of ``by``, one of :data:`DIMENSIONS`.

    The most expensive row comes first; days are in their order.

    Money is USD. ``saved`` is ``routing_saved + cache_saved - failed_requests_cost``, over
    the requests whose own and baseline price are known, and ``saved_percent`` of their
    baseline. A request with several tags, or whose answer calls several tools, counts under each
    of them. Sessions are read from the requests that are still stored. There are at most ``most``
    rows, the last of which sums the rest as "(others)".
    """
    sums: dict[str, Figures] = defaultdict(no_figures)
    for name, figures in _named(by, since, until, source):
        add_figures(sums[name], figures)
    rows = [breakdown_row(name, figures) for name, figures in sums.items()]
    if by == "day":
        return sorted(rows, key=lambda row: row["name"])
    rows.sort(key=lambda row: (-row["cost"], -row["requests"], row["name"]))
    return rows if most is None or len(rows) <= most else _shortened(rows, most)


def _named(
    by: str, since: datetime, until: datetime | None, source: ReportSums
) -> Iterator[tuple[str, Figures]]:
    if by == "day":
        for day, figures in source.by_day(since, until).items():
            yield day.date().isoformat(), figures
        return
    dimension, name_of = _SUMMED_FROM.get(by, (by, str))
    for value, figures in source.by(dimension, since, until).items():
        yield name_of(value) or NONE, figures


def breakdown_row(name: str, figures: Figures) -> dict[str, Any]:
    """Return the row of a breakdown that shows these figures."""
    saved = saved_of(figures)
    return {
        "name": name,
        **{figure: figures[figure] for figure in _SHOWN},
        "failed_requests_cost": figures["lost_cost"],
        "saved": saved,
        "saved_percent": percent(saved, figures["baseline_cost"]),
    }


def _shortened(rows: list[dict[str, Any]], most: int) -> list[dict[str, Any]]:
    rest = no_figures()
    for row in rows[most - 1 :]:
        for figure in _SHOWN:
            rest[figure] += row[figure]
        rest["lost_cost"] += row["failed_requests_cost"]
    return [*rows[: most - 1], breakdown_row(OTHERS, rest)]
