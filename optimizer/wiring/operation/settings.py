"""Settings of quality that operators may change while the service runs."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from typing import Any, Literal

from analytics.operation.runtime_settings import runtime_settings_stored
from optimizer.wiring.product_settings import ProductSettings, product_settings

Source = Literal["environment", "operator", "default"]


@dataclass(frozen=True, slots=True)
class RuntimeSpec:
    """A setting: its field of :class:`ProductSettings`, how it is read, and what it does.

    ``read`` raises ``ValueError``, which says what a value must be. ``number`` is whether it is
    one, else it is a text.
    """

    field: str
    read: Callable[[str], Any]
    what: str
    number: bool = True

    @property
    def variable(self) -> str:
        """The variable of the environment that wins over the operator's value."""
        return self.field.upper()


@dataclass(frozen=True, slots=True)
class SettingStanding:
    """A setting as it is in force, and where that value comes from."""

    spec: RuntimeSpec
    value: Any
    source: Source

    @property
    def set_by(self) -> str:
        """The variable of the environment that sets it, "" if none does."""
        return self.spec.variable if self.source == "environment" else ""


def _model(text: str) -> str:
    text = text.strip()
    if len(text) > 200:
        raise ValueError("A model's name has at most 200 characters.")
    return text


def _between(low: float, high: float, *, ends: bool) -> Callable[[str], float]:
    words = f"between {low:g} and {high:g}" if ends else f"above {low:g} and below {high:g}"

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not (low <= value <= high if ends else low < value < high):
            raise ValueError(f"It must be a number {words}.")
        return value

    return read


_LEAST = Decimal("1E-10")


def _amount(text: str) -> Decimal:
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal("nan")
    if not amount.is_finite() or not 0 <= amount <= 1_000_000:
        raise ValueError("It must be an amount of USD, zero or more and at most a million.")
    # 1E-999999999 has a billion places, which a page would write out.
    rounded = amount.quantize(_LEAST)
    return amount if amount == rounded else rounded


def _days(text: str) -> int:
    try:
        days = float(text)
    except ValueError:
        days = 0.0
    if not (1 <= days <= 365 and days.is_integer()):
        raise ValueError("It must be a whole number of days, from 1 to 365.")
    return int(days)


def _above_zero(most: float) -> Callable[[str], float]:
    bound = _between(0, most, ends=True)

    def read(text: str) -> float:
        try:
            value = bound(text)
        except ValueError:
            value = 0.0
        if not value:
            raise ValueError(f"It must be a number above 0 and at most {most:g}.")
        return value

    return read


_SHARE, _INSIDE = _between(0, 1, ends=True), _between(0, 1, ends=False)
_POINTS = _between(0, 1_000_000, ends=True)
RUNTIME_SETTINGS: Mapping[str, RuntimeSpec] = {
    spec.field: spec
    for spec in (
        RuntimeSpec("judge_model", _model, "The model that judges answers; empty: none.", False),
        RuntimeSpec("judge_rate", _SHARE, "Share of the answers that the judge compares."),
        RuntimeSpec("judge_daily_budget", _amount, "Most that judging costs in a day, USD."),
        RuntimeSpec(
            "guarantee_reference",
            _model,
            "The model whose quality routed answers must keep; empty: no guarantee.",
            False,
        ),
        RuntimeSpec(
            "guarantee_tolerance", _INSIDE, "How far quality may be below the reference's, of 1."
        ),
        RuntimeSpec("guarantee_confidence", _INSIDE, "How sure the guarantee is, of 1."),
        RuntimeSpec(
            "baseline_model",
            _model,
            "What savings are measured against where a request names no model; complexity: what "
            "complexity would choose; empty: the dearest model of the highest tier.",
            False,
        ),
        RuntimeSpec(
            "shadow_rate",
            _SHARE,
            "Share of the requests that name a model which routing's choice answers, too, unseen.",
        ),
        RuntimeSpec("shadow_daily_budget", _amount, "Most that this costs in a day, USD."),
        RuntimeSpec(
            "shadow_margin",
            _above_zero(0.5),
            "How much worse, in wins of 1, a kind of requests may be to be moved.",
        ),
        RuntimeSpec(
            "autopilot_rate", _SHARE, "Share of the requests that a model on trial answers, too."
        ),
        RuntimeSpec(
            "autopilot_share", _above_zero(0.5), "Share of the traffic that a trial gets at most."
        ),
        RuntimeSpec(
            "autopilot_margin",
            _above_zero(0.25),
            "How far quality may be below that of now for a move, of 1.",
        ),
        RuntimeSpec("autopilot_confidence", _INSIDE, "How sure that is, of 1."),
        RuntimeSpec("autopilot_daily_budget", _amount, "Most that trials cost in a day, USD."),
        RuntimeSpec("autopilot_monthly_budget", _amount, "Most that they cost in a month, USD."),
        RuntimeSpec(
            "autopilot_daily_points", _POINTS, "Most points of quality that are risked in a day."
        ),
        RuntimeSpec("autopilot_monthly_points", _POINTS, "Most that are risked in a month."),
        RuntimeSpec("autopilot_trial_days", _days, "Days after which a trial without result ends."),
    )
}


def with_stored(
    product: ProductSettings, environment: Mapping[str, str], stored: Mapping[str, str]
) -> ProductSettings:
    """Return ``product`` with the operators' values of what the environment does not set."""
    values = {
        spec.field: spec.read(stored[spec.variable])
        for spec in RUNTIME_SETTINGS.values()
        if spec.variable in stored and not environment.get(spec.variable, "").strip()
    }
    return replace(product, **values)


def settings_in_force() -> ProductSettings:
    """Return the settings with the operators' values, for what runs without the services.

    Reads the database. Raises ``ValueError`` if a stored value cannot be read.
    """
    return with_stored(product_settings(), os.environ, runtime_settings_stored())


def setting_standings(
    product: ProductSettings, environment: Mapping[str, str], stored: Mapping[str, str]
) -> list[SettingStanding]:
    """Return all settings as they are in force; ``product`` has their values."""

    def source(variable: str) -> Source:
        if environment.get(variable, "").strip():
            return "environment"
        return "operator" if variable in stored else "default"

    return [
        SettingStanding(spec, getattr(product, field), source(spec.variable))
        for field, spec in RUNTIME_SETTINGS.items()
    ]
