"""What a rule reads: one figure, or one for each of its subjects."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from analytics.models import AlertRule

PLACES = Decimal("1e-10")
CALM_SHARE = Decimal("0.9")
"""A figure is calm once it is back within this share of its limit, so that it does not flap."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The state of a rule now, or of one of its subjects.

    ``value`` is ``None`` while there is too little data. ``passed`` is whether the limit is passed,
    and ``calm`` whether the figure is well within it; between both, an open alert stays open.
    """

    rule: AlertRule
    period_start: date
    value: Decimal | None
    passed: bool
    text: str
    subject: str = ""
    calm: bool = True

    @property
    def full_text(self) -> str:
        """Return the text with the rule's name, as it is sent."""
        return f"{self.rule.name}: {self.text}"


def period_start(period: str, today: date) -> date:
    """Return the first day (UTC) of the period that ``today`` is in; weeks begin on Monday."""
    if period == AlertRule.Period.MONTH:
        return today.replace(day=1)
    if period == AlertRule.Period.WEEK:
        return today - timedelta(days=today.weekday())
    return today


def above(
    rule: AlertRule, at: date, value: Decimal | None, text: str, subject: str = ""
) -> Reading:
    """Return the reading of a figure whose limit is passed from below."""
    passed = value is not None and value > rule.limit
    calm = value is None or value <= rule.limit * CALM_SHARE
    return Reading(rule, at, value, passed, text, subject, calm)


def below(rule: AlertRule, at: date, value: Decimal | None, limit: Decimal, text: str) -> Reading:
    """Return the reading of a figure whose ``limit`` is passed from above."""
    passed = value is not None and value < limit
    calm = value is None or value >= limit + abs(limit) * (1 - CALM_SHARE)
    return Reading(rule, at, value, passed, text, "", calm)
