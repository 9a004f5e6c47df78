"""Formats a report: as tables for a terminal, or as plain values for JSON."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from rich.table import Table

from routing.evaluation.curves import Interval
from routing.evaluation.many_models import ManyModels
from routing.evaluation.report import BenchmarkReport
from routing.evaluation.robustness import (
    STRATEGIES,
    TARGET,
    LanguageShares,
    RewordedShares,
    overall,
)

_HEADINGS = {
    "apgr": "APGR",
    "cpt50": "CPT50",
    "cpt80": "CPT80",
    "cpt95": "CPT95",
    "cost_at_95": "cost at 95 %",
    "cost_at_equal": "at 100 %",
}
_SHOWN = 3
"""Single models that a row of the table compares with; JSON has all of them."""


def report_values(report: BenchmarkReport) -> dict[str, Any]:
    """Return the report without its curves, as JSON values; undefined figures are ``None``."""
    weak, strong = report.pair.weak_quality.mean(), report.pair.strong_quality.mean()
    values: dict[str, Any] = {
        "benchmark": report.benchmark,
        "prompts": report.prompts,
        "weak": {"model": report.weak, "quality": round(float(weak), 6)},
        "strong": {"model": report.strong, "quality": round(float(strong), 6)},
        "routers": {
            router: {name: _numbers(interval) for name, interval in figures.items()}
            for router, figures in report.routers.items()
        },
        "calibration_error": {m: round(r.error, 6) for m, r in report.reliability.items()},
        "auc": {m: _number(r.auc) for m, r in report.reliability.items()},
        "trained_on": report.seen,
        "answered_by_other_models": report.apart,
    }
    if report.many is not None:
        values["unpriced_models"] = report.many.unpriced
        values["many_models"] = {
            router: {
                "area": _numbers(figures.area),
                "gain_over_mixing": _numbers(figures.gain),
                "least_gain_over_mixing": _numbers(figures.least_gain),
                "quality_at_equal_cost": {
                    model: _numbers(interval) for model, interval in figures.at_equal_cost.items()
                },
                "cost_at_equal_quality": {
                    model: _numbers(interval)
                    for model, interval in figures.at_equal_quality.items()
                },
            }
            for router, figures in report.many.figures.items()
        }
    return values


def report_tables(report: BenchmarkReport) -> Iterator[Table]:
    """Yield the table of the two models and, if there are more models, the table of all."""
    weak, strong = report.pair.weak_quality.mean(), report.pair.strong_quality.mean()
    table = Table(
        title=f"{report.benchmark}: {report.prompts} prompts, {report.weak} "
        f"({weak:.3f}) or {report.strong} ({strong:.3f})",
        title_justify="left",
    )
    table.add_column("router")
    for heading in _HEADINGS.values():
        table.add_column(heading, justify="right")
    for router, figures in report.routers.items():
        table.add_row(router, *(_cell(figures[name]) for name in _HEADINGS))
    if report.reliability:
        table.caption = (
            "calibration error of learning, held out, and AUC of correctness: "
            + ", ".join(
                f"{model} {bins.error:.3f}, {bins.auc:.2f}"
                for model, bins in report.reliability.items()
            )
        )
    yield table
    if report.many is not None:
        yield _many(report.benchmark, report.many)


def _many(benchmark: str, many: ManyModels) -> Table:
    costs = many.results.cost.mean(axis=0)
    hull = [
        m for m, cost in zip(many.results.models, costs, strict=True) if cost in many.mixing.cost
    ]
    shown = sorted(hull, key=lambda m: -costs[many.results.models.index(m)])[:_SHOWN]
    caption = (
        "cost at its quality: share of always using the model; – if the router never gets there"
    )
    if many.unpriced:
        caption += f"\n{len(many.unpriced)} models without known prices are left out"
    table = Table(
        title=f"{benchmark}: {len(many.results.models)} models, quality over cost",
        title_justify="left",
        caption=caption,
        caption_justify="left",
    )
    table.add_column("router")
    for heading in ("area", "above mixing"):
        table.add_column(heading, justify="right")
    for heading in ("model", "quality at its cost", "cost at its quality"):
        table.add_column(heading, overflow="fold")
    for router, figures in many.figures.items():
        whole = (router, _cell(figures.area, places=3), _cell(figures.gain, places=3))
        for model in shown:
            table.add_row(
                *whole,
                model,
                f"{figures.at_equal_cost[model].value:+.3f}",
                _share(figures.at_equal_quality[model]),
                end_section=model == shown[-1],
            )
            whole = ("", "", "")
    return table


def robustness_tables(
    reworded: list[RewordedShares], languages: list[LanguageShares]
) -> Iterator[Table]:
    """Yield the table of rewordings and that of languages."""
    table = Table(
        title="Reworded prompts that keep their model", title_justify="left",
        caption=f"target {TARGET:.0%}; * wording that nobody prepared for", caption_justify="left",
    )  # fmt: skip
    table.add_column("rewording")
    table.add_column("prompts", justify="right")
    for strategy in STRATEGIES:
        table.add_column(strategy, justify="right")
    for row in reworded:
        name = f"{row.name} *" if row.unseen else row.name
        table.add_row(name, str(row.prompts), *(f"{row.kept[s]:.1%}" for s in STRATEGIES))
    table.add_section()
    for title, unseen in (("all known wordings", False), ("all wordings *", True)):
        shares = overall(reworded, unseen=unseen)
        table.add_row(title, "", *(f"{shares[s]:.1%}" for s in STRATEGIES))
    yield table
    table = Table(
        title="The same request in thirteen languages",
        title_justify="left",
        caption="the share of languages with the most frequent decision",
        caption_justify="left",
    )
    for heading in ("request", *STRATEGIES, "others (learning)"):
        table.add_column(heading, justify="right" if heading in STRATEGIES else "left")
    for request in languages:
        shown = [f"{request.kept[s]:.0%}" for s in STRATEGIES]
        table.add_row(request.request, *shown, " ".join(request.others["learning"]))
    yield table


def robustness_values(
    reworded: list[RewordedShares], languages: list[LanguageShares]
) -> dict[str, Any]:
    """Return both measurements as JSON values."""
    return {
        "reworded": [
            {
                "name": r.name,
                "known_wording": not r.unseen,
                "prompts": r.prompts,
                "kept": dict(r.kept),
            }
            for r in reworded
        ],
        "reworded_known": dict(overall(reworded, unseen=False)),
        "reworded_unknown": dict(overall(reworded, unseen=True)),
        "languages": [
            {"request": r.request, "kept": dict(r.kept), "others": dict(r.others)}
            for r in languages
        ],
    }


def _share(interval: Interval) -> str:
    if math.isnan(interval.value):
        return "–"
    return f"{interval.value:.0%} [{interval.low:.0%}, {interval.high:.0%}]"


def _numbers(interval: Interval) -> dict[str, float | None]:
    values = {"value": interval.value, "low": interval.low, "high": interval.high}
    return {name: _number(v) for name, v in values.items()}


def _number(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 6)


def _cell(interval: Interval, places: int = 2) -> str:
    if math.isnan(interval.value):
        return "–"
    value, low, high = (f"{v:.{places}f}" for v in (interval.value, interval.low, interval.high))
    return f"{value} [{low}, {high}]"
