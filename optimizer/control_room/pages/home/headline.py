"""The first line of the home page: spent, saved, quality, and what the month will cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from analytics.money_shown import rounded_dollars
from analytics.reports.daily_spending import MonthForecast

_WIDTH, _HEIGHT, _MARGIN = 240, 48, 3
_VERDICTS = {
    "holds": "Quality held.",
    "falls short": "Quality fell short.",
    "not shown": "Quality is not shown.",
}
_CAUSES = (
    ("routing_saved", "the models that answered cost {amount} more than the baseline would have"),
    ("judging_cost", "judging answers cost {amount}"),
    ("failed_requests_cost", "failed requests cost {amount}"),
    ("explored_saved", "trying models out to learn cost {amount}"),
)
_GAINS = frozenset({"routing_saved", "explored_saved"})


@dataclass(frozen=True, slots=True)
class Headline:
    """The first line in words. ``worse`` is whether the requests cost more than the baseline."""

    spent: str
    saved: str
    worse: bool
    share: str
    interval: str
    why: str
    quality: str
    quality_note: str
    falls_short: bool
    forecast: str


def headline(
    spent: Decimal,
    savings: dict[str, Any],
    quality: dict[str, Any],
    forecast: MonthForecast | None,
    baseline: str,
) -> Headline:
    """Return the first line; ``baseline`` says in words what the savings are compared with."""
    saved: Decimal = savings["total_saved"]
    worse = saved < 0
    share = f"{abs(savings['percent_saved']):.0f} % {'more' if worse else 'less'} than {baseline}"
    interval = ""
    if savings["saved_low"] is not None:
        bounds = (
            f"{rounded_dollars(savings['saved_low'])} and {rounded_dollars(savings['saved_high'])}"
        )
        interval = f"with 95 % confidence the savings are between {bounds}"
    return Headline(
        spent=rounded_dollars(spent),
        saved=rounded_dollars(abs(saved)),
        worse=worse,
        share=share,
        interval=interval,
        why=_why(savings) if worse else "",
        quality=_VERDICTS[quality["verdict"]],
        quality_note=_quality_note(quality),
        falls_short=quality["verdict"] == "falls short",
        forecast=_forecast_text(forecast),
    )


def _why(savings: dict[str, Any]) -> str:
    """Return what made the requests dearer than the baseline, the largest part first."""
    losses = []
    for name, text in _CAUSES:
        amount = savings[name] if name not in _GAINS else -savings[name]
        if name == "routing_saved":
            amount += savings["explored_saved"]
        if amount > 0:
            losses.append((amount, text.format(amount=rounded_dollars(amount))))
    parts = [text for _, text in sorted(losses, reverse=True)]
    return f"Why: {'; '.join(parts)}." if parts else ""


def _quality_note(quality: dict[str, Any]) -> str:
    difference = quality["difference"]
    if difference["mean"] is None:
        return "Rate answers or configure a judge to see it."
    what = "judged pairs" if quality["basis"] == "pairs" else "rated answers"
    text = f"{difference['mean']:+.3f} beside the baseline on {difference['count']:,} {what}"
    if difference["low"] is None:
        return f"{text}: too few to be sure."
    return (
        f"{text} ({difference['low']:+.3f} to {difference['high']:+.3f}, tolerance "
        f"{quality['tolerance']:g})."
    )


def _forecast_text(forecast: MonthForecast | None) -> str:
    if forecast is None:
        return ""
    return (
        f"{forecast.day:%B} so far: {rounded_dollars(forecast.spent)}; about "
        f"{rounded_dollars(forecast.expected)} by its end at the pace of the last week."
    )


@dataclass(frozen=True, slots=True)
class Sparkline:
    """A line of daily costs as the points of an SVG ``polyline``, and the same in words."""

    points: str
    area: str
    label: str
    width: int = _WIDTH
    height: int = _HEIGHT


def sparkline(days: Sequence[tuple[date, Decimal]]) -> Sparkline | None:
    """Return the line of some days; ``None`` for fewer than two or if nothing was spent."""
    most = max((cost for _, cost in days), default=Decimal(0))
    if len(days) < 2 or not most:
        return None
    step = (_WIDTH - 2 * _MARGIN) / (len(days) - 1)
    room = _HEIGHT - 2 * _MARGIN
    places = [
        (_MARGIN + step * place, _HEIGHT - _MARGIN - room * float(cost / most))
        for place, (_, cost) in enumerate(days)
    ]
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    area = f"{places[0][0]:.1f},{_HEIGHT} {points} {places[-1][0]:.1f},{_HEIGHT}"
    dearest = max(days, key=lambda day: day[1])
    label = (
        f"Spent by day, {days[0][0]:%b %-d} to {days[-1][0]:%b %-d}; most on "
        f"{dearest[0]:%b %-d}: {rounded_dollars(dearest[1])}"
    )
    return Sparkline(points, area, label)
