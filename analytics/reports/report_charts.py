"""The report's charts, as self-contained SVG."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection

from analytics.exports.printable import printable
from analytics.reports.plots import svg

_SPENT, _ROUTING, _CACHE = "#1565c0", "#2e7d32", "#f9a825"


def days_chart(days: Sequence[dict[str, Any]]) -> str:
    """Draw what each day cost, and what it saved by routing and by the cache, in USD."""
    names = [day["name"][5:] for day in days]
    places = range(len(days))

    def draw(ax: Axes) -> None:
        def heights(figure: str) -> list[float]:
            return [float(day[figure]) for day in days]

        zeros = [0.0] * len(days)
        routing, cache = heights("routing_saved"), heights("cache_saved")
        bottoms = [max(0.0, height) for height in routing]
        _bars(ax, -0.4, zeros, heights("cost"), _SPENT, "spent")
        _bars(ax, 0.0, zeros, routing, _ROUTING, "saved by routing")
        _bars(ax, 0.0, bottoms, cache, _CACHE, "saved by the cache")
        ax.autoscale_view()
        step = max(1, len(names) // 15)
        ax.set_xticks(list(places)[::step], names[::step], rotation=45, ha="right")
        ax.axhline(0, color="#757575", lw=0.6)
        ax.set_ylabel("USD")
        ax.legend(frameon=False, ncols=3, loc="upper left", bbox_to_anchor=(0, 1.15))

    return svg(draw, (9, 3.2), "Spent and saved per day, USD")


def _bars(
    ax: Axes,
    shift: float,
    bottoms: Sequence[float],
    heights: Sequence[float],
    colour: str,
    label: str,
) -> None:
    """Draw one bar per day, all as one shape; separate shapes take most of the drawing time."""
    width = 0.4
    corners = [
        [(left, low), (left, low + height), (left + width, low + height), (left + width, low)]
        for left, low, height in zip(
            (place + shift for place in range(len(heights))), bottoms, heights, strict=True
        )
    ]
    ax.add_collection(PolyCollection(corners, facecolors=colour, label=label))


def bars_chart(rows: Sequence[dict[str, Any]], label: str) -> str:
    """Draw what each row cost and saved, in USD, the most expensive on top."""
    shown = list(reversed(rows))

    def draw(ax: Axes) -> None:
        places = range(len(shown))
        for figure, shift, colour, name in (
            ("cost", 0.2, _SPENT, "spent"),
            ("saved", -0.2, _ROUTING, "saved"),
        ):
            widths = [float(Decimal(row[figure])) for row in shown]
            ax.barh([p + shift for p in places], widths, 0.4, color=colour, label=name)
        ax.set_yticks(list(places), [_short(row["name"]) for row in shown], parse_math=False)
        ax.axvline(0, color="#757575", lw=0.6)
        ax.set_xlabel("USD")
        ax.legend(frameon=False, loc="lower right")

    return svg(draw, (9, 0.9 + 0.42 * len(shown)), label)


def _short(name: str) -> str:
    name = printable(name)
    return name if len(name) <= 40 else f"{name[:39]}…"
