"""An experiment's results as text and figures, the same for the terminal and the admin."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from analytics.experiments import Results
from analytics.models import Experiment
from analytics.money import dollars
from routing.evaluation.sequential import FEWEST_UNITS, ArmsCompared

Write = Callable[[float], str]


def result_rows(results: Results) -> list[tuple[str, str, str, str, str]]:
    """Return one row per measure.

    Each row is (measure, control, treatment, difference, 95 % confidence sequence of it).
    """
    return [
        _row("cost per request", results.cost, _usd),
        _row("quality", results.quality, "{:.3f}".format),
        _row("failed requests", results.failures, "{:.2%}".format),
    ]


def verdict(experiment: Experiment, results: Results) -> str:
    """Return what the results show now; valid at any time, not only at the end."""
    if min(results.units.values()) < FEWEST_UNITS:
        return f"No conclusion is possible before both arms have {FEWEST_UNITS} {experiment.unit}s."
    cost = _conclusion(results.cost, "cheaper", "more expensive", "not shown to differ in cost")
    quality = _conclusion(results.quality, "worse", "better", "not shown to differ in quality")
    if results.quality.difference is None or results.quality.low is None:
        quality = "of unknown quality, as too few answers were rated"
    elif results.quality.low >= -experiment.quality_harm and quality.startswith("not"):
        quality = f"no worse by more than {experiment.quality_harm:g}"
    return f"{experiment.treatment} is {cost} than {experiment.control}, and {quality}.".replace(
        "not shown to differ in cost than", "not shown to differ in cost from"
    )


def _conclusion(arms: ArmsCompared, less: str, more: str, neither: str) -> str:
    if arms.high is not None and arms.high < 0:
        return less
    return more if arms.low is not None and arms.low > 0 else neither


def _row(measure: str, arms: ArmsCompared, write: Write) -> tuple[str, str, str, str, str]:
    def text(value: float | None) -> str:
        return "–" if value is None else write(value)

    bounds = "too little data"
    if arms.low is not None and arms.high is not None:
        bounds = f"{write(arms.low)} to {write(arms.high)}"
    return measure, text(arms.control), text(arms.treatment), text(arms.difference), bounds


def _usd(value: float) -> str:
    return dollars(Decimal(repr(value)).quantize(Decimal("1e-10")))
