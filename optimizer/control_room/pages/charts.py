"""The pictures of the admin's home, as figures that a script on the page draws."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from typing import Any, Literal

from django.conf import settings
from django.urls import reverse

from analytics.budgets.burn_down import burn_downs
from analytics.budgets.report import most_used
from analytics.models import Budget
from analytics.quality.report import Mean
from analytics.reports.figures import Figures
from analytics.reports.over_time import Course, course
from optimizer.control_room.pages.period import ReportPeriod

Value = str | float | int | None
"""Money is told as the exact decimal; the script rounds it to pixels."""
Unit = Literal["usd", "count", "percent", "ms", "score"]

_MOST = 6
"""Lines or layers of a picture: more cannot be told apart."""


@dataclass(frozen=True, slots=True)
class Series:
    """One value a step. ``kind`` is "bar", "line", "dashed" (what was before) or "limit";
    ``tone`` what it means where that has a colour of its own. ``low`` and ``high`` bound the
    values with 95 % confidence.
    """

    name: str
    values: Sequence[Value]
    kind: str = "bar"
    tone: str = ""
    low: Sequence[Value] = ()
    high: Sequence[Value] = ()


@dataclass(frozen=True, slots=True)
class Chart:
    """``rows`` lead to the requests behind each step; ``stacked`` bars stand on each other."""

    id: str
    title: str
    unit: Unit
    series: Sequence[Series]
    note: str = ""
    stacked: bool = False
    wide: bool = False
    rows: Sequence[str] = field(default_factory=list)


def charts(period: ReportPeriod, *, now: datetime | None = None) -> dict[str, Any]:
    """All of them for a period, ready for JSON: ``labels`` of the steps, the ``charts``, and the
    ``budgets`` used most as they stand now.

    Reads the database: not for the event loop.
    """
    now = now or datetime.now(UTC)
    until = period.until or now
    found = course(period.since, until, period.before)
    rows = _rows(found, period.since, until)
    drawn = [
        _spend(found, rows("requestrecord")),
        _causes(found, rows("routingmetric")),
        _quality(found, rows("comparison")),
        _mix("models", "Requests by model", found.by["model"], rows("requestrecord")),
        _mix("strategies", "Requests by strategy", found.by["strategy"], rows("requestrecord")),
        _hits(found, rows("requestrecord", cache_hit__exact="1")),
        _durations(
            "latency", "Latency by provider", found, rows("requestrecord", cache_hit__exact="0")
        ),
        _durations("first_token", "Time to first token by provider", found, rows("requestrecord")),
        _failures(found, rows("requestrecord", status__exact="error")),
    ]  # fmt: skip
    return {
        "step": found.steps.kind,
        "labels": [start.isoformat() for start in found.steps.starts],
        "charts": [asdict(chart) for chart in drawn],
        "budgets": _budgets(now),
    }


def _budgets(now: datetime) -> list[dict[str, Any]]:
    accounts = most_used(Budget.objects.filter(enabled=True), now=now)
    return [
        {**plot, "page": reverse("admin:analytics_budget_change", args=[plot["budget"]])}
        for plot in burn_downs(accounts, now)
    ]


def _rows(found: Course, since: datetime, until: datetime) -> Callable[..., list[str]]:
    """``rows(model, **filters)``: the addresses of the lists behind each step."""
    bounds = [*found.steps.starts, until]
    spans = [ReportPeriod(max(start, since), end, start, "") for start, end in pairwise(bounds)]

    def listed(model: str, **filters: str) -> list[str]:
        page = reverse(f"admin:analytics_{model}_changelist")
        return [f"{page}?{span.rows(**filters)}" for span in spans]

    return listed


def _spend(found: Course, rows: list[str]) -> Chart:
    return Chart(
        "spend", "Spent and saved", "usd",
        [
            Series("Spent", _money(found.totals, "cost"), tone="spent"),
            Series(
                "Saved", [str(saved) for saved in found.saved], "line", "saved",
                [str(one.low) if one else None for one in found.intervals],
                [str(one.high) if one else None for one in found.intervals],
            ),
            Series("Spent, period before", _money(found.before, "cost"), "dashed", "spent"),
        ],
        "the band holds what was saved with 95 % confidence", wide=True, rows=rows,
    )  # fmt: skip


def _causes(found: Course, rows: list[str]) -> Chart:
    def each(of: Callable[[Figures], Decimal]) -> list[Value]:
        return [str(of(figures)) for figures in found.totals]

    def chosen(figures: Figures) -> Decimal:
        by_choice: Decimal = (
            figures["routing_saved"] - figures["explored_saved"] - figures["prompt_cache_saved"]
        )
        return by_choice

    series = [
        Series("Cheaper models", each(chosen)),
        Series("Response cache", _money(found.totals, "cache_saved")),
        Series("Prompt caches", _money(found.totals, "prompt_cache_saved")),
        Series("Exploring", _money(found.totals, "explored_saved")),
        Series("Failed requests", each(lambda figures: -figures["lost_cost"])),
        Series("Judging", [str(-step.judging) for step in found.quality]),
    ]
    told = [one for one in series if any(Decimal(str(value)) for value in one.values)]
    return Chart(
        "causes", "Saved by cause", "usd", told or series[:1], "together what was saved",
        stacked=True, rows=rows,
    )  # fmt: skip


def _quality(found: Course, rows: list[str]) -> Chart:
    if any(step.difference.count for step in found.quality):
        tolerance = -settings.QUALITY_TOLERANCE
        return Chart(
            "quality", "Quality beside the baseline's", "score",
            [
                _verdicts("Difference", [step.difference for step in found.quality]),
                Series("Tolerance", [tolerance] * len(found.quality), "limit", "limit"),
            ],
            "of prompts that both answered; the line is what is tolerated", rows=rows,
        )  # fmt: skip
    return Chart(
        "quality", "How answers were rated", "score",
        [_verdicts("Rating", [step.rated for step in found.quality])],
        "0 to 1; with a judge, the difference to the baseline stands here",
    )  # fmt: skip


def _verdicts(name: str, means: Sequence[Mean]) -> Series:
    return Series(
        name, [one.mean for one in means], "line", "quality",
        [one.low for one in means], [one.high for one in means],
    )  # fmt: skip


def _mix(id_: str, title: str, values: Mapping[str, list[Figures]], rows: list[str]) -> Chart:
    layers = {
        name.strip("/") or "nobody": [figures["requests"] for figures in steps]
        for name, steps in values.items()
    }
    series = [Series(name, counts) for name, counts in _greatest(layers)]
    return Chart(id_, title, "count", series, stacked=True, rows=rows)


def _hits(found: Course, rows: list[str]) -> Chart:
    def rates(steps: Sequence[Figures]) -> list[Value]:
        return [
            _share(figures["cache_hits"], figures["requests"] - figures["failed"])
            for figures in steps
        ]

    return Chart(
        "hits", "Answered from the cache", "percent",
        [
            Series("Hit rate", rates(found.totals), "line", "cache"),
            Series("Period before", rates(found.before), "dashed", "cache"),
        ],
        rows=rows,
    )  # fmt: skip


def _durations(dimension: str, title: str, found: Course, rows: list[str]) -> Chart:
    providers = found.durations[dimension]
    series = [
        Series(name, [spread.p95 if spread else None for spread in spreads], "line")
        for name, spreads in list(providers.items())[:_MOST]
    ]
    note = "what 95 % of calls do not exceed; cached answers are no calls"
    return Chart(dimension.replace("_", "-"), title, "ms", series, note, rows=rows)


def _failures(found: Course, rows: list[str]) -> Chart:
    layers: dict[str, list[int]] = {}
    for model, steps in found.by["model"].items():
        # Requests that nobody answered are of no model.
        provider = model.partition("/")[0] or "nobody"
        before = layers.get(provider, [0] * len(steps))
        layers[provider] = [n + step["failed"] for n, step in zip(before, steps, strict=True)]
    series = [Series(name, counts) for name, counts in _greatest(layers) if any(counts)]
    return Chart(
        "failures", "Failed requests by provider", "count", series, stacked=True, rows=rows
    )


def _greatest(layers: Mapping[str, list[int]]) -> list[tuple[str, list[int]]]:
    """The greatest layers, the others as one."""
    ordered = sorted(layers.items(), key=lambda layer: (-sum(layer[1]), layer[0]))
    if len(ordered) <= _MOST:
        return ordered
    others = [sum(counts) for counts in zip(*(one for _, one in ordered[_MOST - 1 :]), strict=True)]
    return [*ordered[: _MOST - 1], ("others", others)]


def _money(steps: Sequence[Figures], figure: str) -> list[Value]:
    return [str(figures[figure]) for figures in steps]


def _share(part: int, whole: int) -> float | None:
    return 100 * part / whole if whole else None
