"""Levers and what they saved as text, the same for the terminal and the admin."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from analytics.models import LeverResult
from analytics.money import dollars
from optimizer.domain.levers import LEVERS
from optimizer.presentation.counted import counted

Figures = Mapping[str, Any]
NOT_MEASURED = "–"
_SAVING = {
    "saves": "It saves money.",
    "costs more": "It costs more than it saves.",
    "not shown": "It is not shown to save money.",
}
_QUALITY = {
    "better": "Its answers are better.",
    "worse": "Its answers are worse.",
    "not shown": "Its answers are not shown to be better or worse.",
    "too few": "Its quality is unknown, as too few answers of both arms have a score.",
}


def usd(value: float) -> str:
    """Return USD of a computed figure: cents, or more places below a dollar."""
    return dollars(Decimal(repr(value)).quantize(Decimal("1e-6")))


def interval(figure: list[float] | None, *, share: bool = False) -> str:
    """Return a figure with its 95 % interval, in USD or in per cent."""
    if figure is None:
        return NOT_MEASURED
    value, low, high = (f"{one:.1%}" if share else usd(one) for one in figure)
    return f"{value} ({low} to {high})"


def points(figure: list[float] | None) -> str:
    """Return a difference of quality, in points of 0-1, with its interval."""
    if figure is None:
        return NOT_MEASURED
    value, low, high = (f"{one:+.3f}" for one in figure)
    return f"{value} ({low} to {high})"


def verdict_text(figures: Figures) -> str:
    """Return what the figures of a lever show, in two sentences."""
    if figures["verdict"] == "too few":
        saving = f"Its saving is not known: {figures['refused']}."
    else:
        saving = _SAVING[figures["verdict"]]
    return f"{saving} {_QUALITY[figures['quality_verdict']]}"


def lever_row(name: str, figures: Figures) -> dict[str, str]:
    """Return the figures of one lever as text."""
    scored = figures["scored"]
    return {
        "lever": name,
        "what": LEVERS.get(name, ""),
        "eligible": f"{figures['eligible']:,}",
        "treated": f"{figures['treated_share']:.1%}",
        "saving": interval(figures["saving"]),
        "per_request": interval(figures["per_request"]),
        "share_saved": interval(figures["share_saved"], share=True),
        "quality": points(figures["quality"]),
        "scored": f"{scored[0]:,} and {scored[1]:,}",
        "control_cost": interval(figures["control_cost"]),
        "verdict": verdict_text(figures),
        "left_out": _left_out(figures),
    }


def together_lines(figures: Figures) -> list[tuple[str, str]]:
    """Return the lines below the levers, which add up to the total."""
    # Exactly nothing, without an interval, is the sum of no measured lever.
    in_sum = interval(figures["sum"]) if any(figures["sum"] or ()) else "not known yet"
    if figures["total"] is None:
        return [("Sum of the levers", in_sum)]
    return [
        ("Sum of the levers", in_sum),
        ("What they save together beyond that", interval(figures["remainder"])),
        ("All levers together", interval(figures["total"])),
    ]


def harm_text(harm: Figures | None) -> str:
    """Return what the watch on quality knows."""
    if harm is None:
        return ""
    if not (harm["scored"] or harm["paired"]):
        return "No answer of it has a score yet, so harm cannot be noticed."
    smallest = harm["smallest"]
    notice = (
        f"harm of {smallest:.3f} points an answer or more is stopped before it has spoiled "
        f"{harm['budget']:g} answers"
        if smallest is not None
        else f"too few answers have scores to stop any harm within {harm['budget']:g} answers"
    )
    return (
        f"Harm lies between {harm['low']:+.3f} and {harm['high']:+.3f} points an answer, by "
        f"{counted(harm['scored'] + harm['paired'], 'score')}; {notice}."
    )


def computed_text(results: Mapping[str, LeverResult]) -> str:
    """Return when the results were computed; empty without results."""
    row = next(iter(results.values()), None)
    return "" if row is None else f"Computed at {row.computed_at:%Y-%m-%d %H:%M} UTC."


def _left_out(figures: Figures) -> str:
    parts = []
    if figures["unmeasured"]:
        parts.append(f"{counted(figures['unmeasured'], 'request')} of mode “on” are not measured")
    if figures["unpriced"]:
        parts.append(f"{counted(figures['unpriced'], 'request')} have no known cost")
    return "; ".join(parts)
