"""Data of the charts on the admin's home page; a script on the page draws them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from typing import Any

from django.conf import settings
from django.urls import reverse

from analytics.budgets.burn_down import burn_downs
from analytics.budgets.report import most_used
from analytics.models import Budget
from analytics.quality.means import Mean
from analytics.reports.compared import ComparedWith
from analytics.reports.figures import Figures
from analytics.reports.time_series import TimeSeries, time_series
from optimizer.control_room.pages.period import ReportPeriod
from optimizer.presentation.charts import Chart, Series, Value

_MAX_SERIES = 6
"""The most lines or layers of a chart; a reader cannot distinguish more."""


def charts(
    period: ReportPeriod, compared: ComparedWith | None = None, *, now: datetime | None = None
) -> dict[str, Any]:
    """Return all charts of a period, ready for JSON.

    Savings are ``compared`` with its baseline, by default the recorded one.

    The keys are ``step`` (the kind of step), ``labels`` (the start of each step, ISO 8601),
    ``charts``, and ``budgets``: the current burn-downs of the most used budgets.

    This function reads the database, so do not call it on the event loop.
    """
    now = now or datetime.now(UTC)
    until = period.until or now
    by_step = time_series(period.since, until, period.before, compared)
    rows = _row_links(by_step, period.since, until)
    models, strategies = by_step.by["model"], by_step.by["strategy"]
    all_charts = [
        _spend(by_step, rows("requestrecord")),
        _savings_by_cause(by_step, rows("routingmetric")),
        _quality(by_step, rows("comparison")),
        _requests_by("models", "Requests by model", models, rows("requestrecord")),
        _requests_by("strategies", "Requests by strategy", strategies, rows("requestrecord")),
        _hit_rate(by_step, rows("requestrecord", cache_hit__exact="1")),
        _durations(
            "latency", "Latency by provider", by_step, rows("requestrecord", cache_hit__exact="0")
        ),
        _durations(
            "first_token", "Time to first token by provider", by_step, rows("requestrecord")
        ),
        _failures(by_step, rows("requestrecord", status__exact="error")),
    ]  # fmt: skip
    return {
        "step": by_step.steps.kind,
        "labels": [start.isoformat() for start in by_step.steps.starts],
        "charts": [asdict(chart) for chart in all_charts],
        "budgets": _budgets(now),
    }


def _budgets(now: datetime) -> list[dict[str, Any]]:
    """Return the burn-downs of the most used budgets, each with the address of its page."""
    accounts = most_used(Budget.objects.filter(enabled=True), now=now)
    return [
        {**plot, "page": reverse("admin:analytics_budget_change", args=[plot["budget"]])}
        for plot in burn_downs(accounts, now)
    ]


def _row_links(by_step: TimeSeries, since: datetime, until: datetime) -> Callable[..., list[str]]:
    """Return ``links(model, **filters)``: the address of the list behind each step."""
    bounds = [*by_step.steps.starts, until]
    spans = [ReportPeriod(max(start, since), end, start, "") for start, end in pairwise(bounds)]

    def links(model: str, **filters: str) -> list[str]:
        page = reverse(f"admin:analytics_{model}_changelist")
        return [f"{page}?{span.list_query(**filters)}" for span in spans]

    return links


def _spend(by_step: TimeSeries, rows: list[str]) -> Chart:
    return Chart(
        "spend", "Spent and saved", "usd",
        [
            Series("Spent", _money(by_step.totals, "cost"), tone="spent"),
            Series(
                "Saved", [str(saved) for saved in by_step.saved], "line", "saved",
                [_text_of(interval.low) for interval in by_step.intervals],
                [_text_of(interval.high) for interval in by_step.intervals],
            ),
            Series("Spent, previous period", _money(by_step.before, "cost"), "dashed", "spent"),
        ],
        "the band is the 95 % confidence interval of the expected savings", wide=True, rows=rows,
    )  # fmt: skip


def _savings_by_cause(by_step: TimeSeries, rows: list[str]) -> Chart:
    def amounts(amount_of: Callable[[Figures], Decimal]) -> list[Value]:
        return [str(amount_of(figures)) for figures in by_step.totals]

    def saved_by_choice(figures: Figures) -> Decimal:
        saved: Decimal = figures["routing_saved"] - figures["explored_saved"]
        return saved

    series = [
        Series("Cheaper models", amounts(saved_by_choice)),
        Series("Response cache", _money(by_step.totals, "cache_saved")),
        Series("Exploration", _money(by_step.totals, "explored_saved")),
        Series("Failed requests", amounts(lambda figures: -figures["lost_cost"])),
        Series("Quality judge", [str(-step.judging) for step in by_step.quality]),
    ]
    nonzero = [cause for cause in series if any(Decimal(str(value)) for value in cause.values)]
    return Chart(
        "causes", "Saved by cause", "usd", nonzero or series[:1],
        "the causes add up to the total saved", stacked=True, rows=rows,
    )  # fmt: skip


def _quality(by_step: TimeSeries, rows: list[str]) -> Chart:
    if any(step.difference.count for step in by_step.quality):
        tolerance = -settings.QUALITY_TOLERANCE
        return Chart(
            "quality", "Quality compared with the baseline", "score",
            [
                _mean_series("Difference", [step.difference for step in by_step.quality]),
                Series("Tolerance", [tolerance] * len(by_step.quality), "limit", "limit"),
            ],
            "on prompts that both answered; the line is the tolerance", rows=rows,
        )  # fmt: skip
    return Chart(
        "quality", "Answer ratings", "score",
        [_mean_series("Rating", [step.rated for step in by_step.quality])],
        "0 to 1; with a judge, this chart shows the difference to the baseline",
    )  # fmt: skip


def _mean_series(name: str, means: Sequence[Mean]) -> Series:
    return Series(
        name, [mean.mean for mean in means], "line", "quality",
        [mean.low for mean in means], [mean.high for mean in means],
    )  # fmt: skip


def _requests_by(
    id_: str, title: str, values: Mapping[str, list[Figures]], rows: list[str]
) -> Chart:
    layers = {
        name.strip("/") or "none": [figures["requests"] for figures in steps]
        for name, steps in values.items()
    }
    series = [Series(name, counts) for name, counts in _largest(layers)]
    return Chart(id_, title, "count", series, stacked=True, rows=rows)


def _hit_rate(by_step: TimeSeries, rows: list[str]) -> Chart:
    def rates(steps: Sequence[Figures]) -> list[Value]:
        return [
            _share(figures["cache_hits"], figures["requests"] - figures["failed"])
            for figures in steps
        ]

    return Chart(
        "hits", "Answered from the cache", "percent",
        [
            Series("Hit rate", rates(by_step.totals), "line", "cache"),
            Series("Previous period", rates(by_step.before), "dashed", "cache"),
        ],
        rows=rows,
    )  # fmt: skip


def _durations(dimension: str, title: str, by_step: TimeSeries, rows: list[str]) -> Chart:
    providers = by_step.durations[dimension]
    series = [
        Series(name, [spread.p95 if spread else None for spread in spreads], "line")
        for name, spreads in list(providers.items())[:_MAX_SERIES]
    ]
    note = "95th percentile of calls; cached answers are not calls"
    return Chart(dimension.replace("_", "-"), title, "ms", series, note, rows=rows)


def _failures(by_step: TimeSeries, rows: list[str]) -> Chart:
    layers: dict[str, list[int]] = {}
    for model, steps in by_step.by["model"].items():
        # A request that no model answered has no provider.
        provider = model.partition("/")[0] or "none"
        counts = layers.get(provider, [0] * len(steps))
        layers[provider] = [n + step["failed"] for n, step in zip(counts, steps, strict=True)]
    series = [Series(name, counts) for name, counts in _largest(layers) if any(counts)]
    return Chart(
        "failures", "Failed requests by provider", "count", series, stacked=True, rows=rows
    )


def _largest(layers: Mapping[str, list[int]]) -> list[tuple[str, list[int]]]:
    """Return the largest layers, with the rest added up as "others"."""
    ordered = sorted(layers.items(), key=lambda layer: (-sum(layer[1]), layer[0]))
    if len(ordered) <= _MAX_SERIES:
        return ordered
    rest = [counts for _, counts in ordered[_MAX_SERIES - 1 :]]
    others = [sum(counts) for counts in zip(*rest, strict=True)]
    return [*ordered[: _MAX_SERIES - 1], ("others", others)]


def _money(steps: Sequence[Figures], figure: str) -> list[Value]:
    return [str(figures[figure]) for figures in steps]


def _share(part: int, whole: int) -> float | None:
    return 100 * part / whole if whole else None


def _text_of(bound: Decimal | None) -> str | None:
    return None if bound is None else str(bound)
