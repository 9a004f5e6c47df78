"""Charts over time, as the scripts of pages draw them; one is of what a person or key spends."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Literal

Value = str | float | int | None
"""A value of a chart. Money is an exact decimal as text; the script rounds it to pixels."""
Unit = Literal["usd", "count", "percent", "ms", "score"]

_LAYERS = 5
"""The models that have a colour of their own; the others are one layer."""


@dataclass(frozen=True, slots=True)
class Series:
    """A series of values, one for each step of the chart.

    ``kind`` is "bar", "line", "dashed" (the previous period) or "limit". ``tone`` names the
    meaning of the series if that meaning has a colour of its own. ``low`` and ``high`` are the
    bounds of the values' 95 % confidence intervals.
    """

    name: str
    values: Sequence[Value]
    kind: str = "bar"
    tone: str = ""
    low: Sequence[Value] = ()
    high: Sequence[Value] = ()


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart over the steps of a period.

    ``rows`` holds, for each step, the address of the list of requests behind it. ``stacked``
    draws the bars on top of each other.
    """

    id: str
    title: str
    unit: Unit
    series: Sequence[Series]
    note: str = ""
    stacked: bool = False
    wide: bool = False
    rows: Sequence[str] = field(default_factory=list)


def spend_chart(rows: Iterable[Mapping[str, Any]], first: date, last: date) -> dict[str, Any]:
    """Return the chart of costs by day and model, ready for JSON.

    ``rows`` have a ``day``, a ``provider``, a ``model`` and a ``cost`` in USD, as own_days returns
    them. The keys are ``step``, ``labels`` (the days from ``first`` to ``last``) and ``chart``.
    """
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    costs: dict[str, dict[date, Decimal]] = {}
    for row in rows:
        name = f"{row['provider']}/{row['model']}" if row["provider"] else "no model"
        by_day = costs.setdefault(name, {})
        by_day[row["day"]] = by_day.get(row["day"], Decimal(0)) + row["cost"]
    dearest = sorted(costs, key=lambda name: (-sum(costs[name].values()), name))
    layers = {name: costs[name] for name in dearest[:_LAYERS]}
    if others := dearest[_LAYERS:]:
        layers["others"] = {
            day: sum((costs[name].get(day, Decimal(0)) for name in others), Decimal(0))
            for day in days
        }
    series = [
        Series(name, [str(by_day.get(day, Decimal(0))) for day in days])
        for name, by_day in layers.items()
    ]
    chart = Chart("spend", "Spent by day and model", "usd", series, stacked=True)
    return {"step": "day", "labels": [day.isoformat() for day in days], "chart": asdict(chart)}
