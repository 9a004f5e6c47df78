"""The candidates of a decision as a picture: what each is expected to cost and to be worth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes

from analytics.drawing import svg
from routing.models import TIERS

_CHOSEN, _OTHER, _BASELINE = "#2e7d32", "#607d8b", "#ef6c00"


def candidate_chart(
    candidates: Sequence[dict[str, Any]], baseline: tuple[str, str] | None = None
) -> str:
    """Expected cost (USD, logarithmic) against expected quality (0-1) with its interval, as SVG.

    ``candidates`` are as a decision's metadata has them. Those without a price are left out;
    where no strategy expected a quality, their tiers take its place. ``baseline`` is the
    (provider, model) that complexity would have chosen.
    """
    shown = [one for one in candidates if one.get("expected_cost") not in (None, "")]
    judged = any(one.get("expected_quality") is not None for one in shown)

    def draw(ax: Axes) -> None:
        if not shown:
            ax.text(0.5, 0.5, "No candidate has a known price", ha="center", va="center")
            ax.set_axis_off()
            return
        for number, one in enumerate(shown):
            _point(ax, one, number, judged, baseline)
        costs = [float(one["expected_cost"]) for one in shown]
        if min(costs) > 0:
            ax.set_xscale("log")
        ax.set_xlabel("expected cost of the call, USD")
        if judged:
            ax.set_ylabel("expected quality")
        else:
            ax.set_yticks(range(len(TIERS)), TIERS)
            ax.set_ylim(-0.5, len(TIERS) - 0.5)
        ax.margins(x=0.2)
        ax.grid(alpha=0.25, lw=0.5)

    return svg(draw, (9, 3.8), "Candidates by expected cost and quality")


def _point(
    ax: Axes, one: dict[str, Any], number: int, judged: bool, baseline: tuple[str, str] | None
) -> None:
    cost = float(one["expected_cost"])
    quality = one.get("expected_quality") if judged else float(TIERS.index(one["tier"]))
    if quality is None:
        return
    colour = _OTHER
    if (one["provider"], one["model"]) == baseline:
        colour = _BASELINE
    if one["chosen"]:
        colour = _CHOSEN
    if one.get("quality_low") is not None and judged:
        low, high = one["quality_low"], one["quality_high"]
        ax.plot([cost, cost], [low, high], color=colour, lw=1.2, alpha=0.6)
    ax.plot([cost], [quality], "o", color=colour, ms=9 if one["chosen"] else 6)
    # Neighbours' names go up and down by turns, so that fewer of them meet.
    above = number % 2 == 0
    ax.annotate(
        one["model"].rpartition("/")[2].replace("$", r"\$"), (cost, quality),
        xytext=(4, 7 if above else -7), textcoords="offset points", rotation=18 if above else -18,
        va="bottom" if above else "top", fontsize=7.5, color=colour,
        fontweight="bold" if one["chosen"] else "normal",
    )  # fmt: skip
