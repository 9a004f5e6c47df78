"""Formats a report: as tables for a terminal, or as plain values for JSON."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from rich.table import Table

from routing.evaluation.curves import Interval
from routing.evaluation.many_models import ManyModels
from routing.evaluation.report import BenchmarkReport

_HEADINGS = {
    "apgr": "APGR",
    "cpt50": "CPT50",
    "cpt80": "CPT80",
    "cpt95": "CPT95",
    "cost_at_95": "cost at 95 %",
}


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
    }
    if report.many is not None:
        values["many_models"] = {
            router: {
                "area": _numbers(figures.area),
                "gain_over_mixing": _numbers(figures.gain),
                "least_gain_over_mixing": _numbers(figures.least_gain),
                "quality_at_equal_cost": {
                    model: _numbers(interval) for model, interval in figures.at_equal_cost.items()
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
    table = Table(
        title=f"{benchmark}: {len(many.results.models)} models, quality over cost",
        title_justify="left",
        caption="at equal cost: quality above the single model, at that model's mean cost",
    )
    table.add_column("router")
    for heading in ("area", "above mixing", "least above mixing"):
        table.add_column(heading, justify="right")
    table.add_column("at equal cost")
    for router, figures in many.figures.items():
        equal = "\n".join(
            f"{model} {interval.value:+.3f}" for model, interval in figures.at_equal_cost.items()
        )
        intervals = (figures.area, figures.gain, figures.least_gain)
        table.add_row(router, *(_cell(interval, places=3) for interval in intervals), equal)
    return table


def _numbers(interval: Interval) -> dict[str, float | None]:
    values = {"value": interval.value, "low": interval.low, "high": interval.high}
    return {name: _number(v) for name, v in values.items()}


def _number(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 6)


def _cell(interval: Interval, places: int = 2) -> str:
    if math.isnan(interval.value):
        return "–"
    value, low, high = (f"{v:.{places}f}" for v in (interval.value, interval.low, interval.high))
    return f"{value} \\[{low}, {high}]"
