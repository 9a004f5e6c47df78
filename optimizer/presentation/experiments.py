"""An experiment's results in words and figures, the same for terminal and admin."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from analytics.experiments import Results
from analytics.models import Experiment
from analytics.money import dollars
from routing.evaluation.sequential import FEWEST_UNITS, ArmsCompared

Write = Callable[[float], str]


def result_rows(results: Results) -> list[tuple[str, str, str, str, str]]:
    """(what, control, treatment, difference, its 95 % confidence sequence)."""
    return [
        _row("cost a request", results.cost, _usd),
        _row("quality", results.quality, "{:.3f}".format),
        _row("failed requests", results.failures, "{:.2%}".format),
    ]


def verdict(experiment: Experiment, results: Results) -> str:
    """What can be said now; it may be asked at any time."""
    if min(results.units.values()) < FEWEST_UNITS:
        return f"Nothing can be said before both arms have {FEWEST_UNITS} {experiment.unit}s."
    cost = _said(results.cost, "cheaper", "dearer", "not shown to differ in cost")
    quality = _said(results.quality, "worse", "better", "not shown to differ in quality")
    if results.quality.difference is None or results.quality.low is None:
        quality = "of unknown quality, as too few answers were rated"
    elif results.quality.low >= -experiment.quality_harm and quality.startswith("not"):
        quality = f"no worse by more than {experiment.quality_harm:g}"
    return f"{experiment.treatment} is {cost} than {experiment.control}, and {quality}.".replace(
        "not shown to differ in cost than", "not shown to differ in cost from"
    )


def _said(found: ArmsCompared, less: str, more: str, neither: str) -> str:
    if found.high is not None and found.high < 0:
        return less
    return more if found.low is not None and found.low > 0 else neither


def _row(what: str, found: ArmsCompared, write: Write) -> tuple[str, str, str, str, str]:
    def shown(value: float | None) -> str:
        return "–" if value is None else write(value)

    bounds = "too few to say"
    if found.low is not None and found.high is not None:
        bounds = f"{write(found.low)} to {write(found.high)}"
    return what, shown(found.control), shown(found.treatment), shown(found.difference), bounds


def _usd(value: float) -> str:
    return dollars(Decimal(repr(value)).quantize(Decimal("1e-10")))
