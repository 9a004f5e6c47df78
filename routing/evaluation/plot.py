"""Plots reports: one row per benchmark, with curves and calibration."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from routing.evaluation.curves import pgr_curve
from routing.evaluation.report import BenchmarkReport

_COLOURS = {
    "random": "#9e9e9e", "length": "#8d6e63", "complexity": "#f9a825", "learning": "#1565c0",
    "hybrid": "#6a1b9a", "trained": "#2e7d32", "transfer": "#00838f", "oracle": "#212121",
}  # fmt: skip


def plot_reports(reports: Sequence[BenchmarkReport], path: Path) -> None:
    """Write a PNG with one row per report. Raise ``OSError`` if it cannot be written."""
    columns = 3 if any(report.many for report in reports) else 2
    figure, axes = plt.subplots(
        len(reports), columns, figsize=(5.2 * columns, 4.2 * len(reports)), squeeze=False,
        layout="constrained",
    )  # fmt: skip
    for row, report in zip(axes, reports, strict=True):
        _recovered(row[0], report)
        _calibration(row[1], report)
        if columns == 3:
            _frontier(row[2], report)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _recovered(ax: Axes, report: BenchmarkReport) -> None:
    for router, scores in report.scores.items():
        share, recovered = pgr_curve(report.pair, scores)
        apgr = report.routers[router]["apgr"].value
        ax.plot(share, recovered, color=_COLOURS[router], label=f"{router} {apgr:.2f}", lw=1.6)
    ax.set(
        title=f"{report.benchmark}: quality gap recovered (APGR)",
        xlabel=f"share of prompts to {report.strong}",
        ylabel="share of the gap",
        xlim=(0, 1),
    )
    ax.grid(alpha=0.3)
    ax.legend(fontsize=8)


def _calibration(ax: Axes, report: BenchmarkReport) -> None:
    ax.plot([0, 1], [0, 1], color="#9e9e9e", lw=1)
    for model, bins in report.reliability.items():
        ax.plot(bins.predicted, bins.observed, marker="o", ms=4, label=f"{model}: {bins.error:.3f}")
    ax.set(
        title="reliability (expected calibration error)",
        xlabel="quality predicted, held out",
        ylabel="quality observed",
    )
    ax.grid(alpha=0.3)
    if report.reliability:
        ax.legend(fontsize=8)


def _frontier(ax: Axes, report: BenchmarkReport) -> None:
    if report.many is None:
        ax.axis("off")
        return
    many = report.many
    # Many points, as a line that is straight in cost is curved on its logarithm.
    costs = np.geomspace(many.mixing.cost[0], many.mixing.cost[-1], 200)
    ax.plot(costs * 1000, many.mixing.at(costs), "--", color="#616161", label="random mixing")
    for router, points in many.curves.items():
        ax.plot(points.cost * 1000, points.quality, color=_COLOURS[router], label=router, lw=1.6)
    results = many.results
    for index, model in enumerate(results.models):
        cost, quality = results.cost[:, index].mean(), results.quality[:, index].mean()
        ax.plot(cost * 1000, quality, "k.", ms=5)
        ax.annotate(model, (cost * 1000, quality), fontsize=6, textcoords="offset points",
                    xytext=(3, -7))  # fmt: skip
    ax.set(
        title=f"{len(results.models)} models: quality over cost",
        xlabel="USD per 1000 prompts",
        ylabel="mean quality",
        xscale="log",
    )
    ax.grid(alpha=0.3, which="both")
    ax.legend(fontsize=8)
    ax.set_ylim(0, float(np.max([c.quality.max() for c in many.curves.values()])) * 1.05)
