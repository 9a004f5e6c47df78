"""Reads any rule: as one figure for people, and by subject for raising alerts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from django.utils import timezone

from analytics.alerts.guarantee_figure import guarantee_reading
from analytics.alerts.period_figures import (
    forecast_reading,
    invoice_reading,
    quality_reading,
    savings_reading,
    spend_reading,
    unusual_reading,
)
from analytics.alerts.reading import Reading
from analytics.alerts.subject_figures import (
    autopilot_readings,
    autopilot_summary,
    budget_readings,
    budget_summary,
    circuit_readings,
    circuit_summary,
    runaway_readings,
    runaway_summary,
)
from analytics.alerts.window_figures import errors_reading, latency_reading, slower_reading
from analytics.models import AlertRule
from routing.adjustments.guarantee import Guarantee

_Metric = AlertRule.Metric
_SINGLE: dict[str, Callable[[AlertRule, datetime], Reading]] = {
    _Metric.SPEND: spend_reading,
    _Metric.UNUSUAL: unusual_reading,
    _Metric.FORECAST: forecast_reading,
    _Metric.ERRORS: errors_reading,
    _Metric.LATENCY: latency_reading,
    _Metric.SLOWER: slower_reading,
    _Metric.SAVINGS: savings_reading,
    _Metric.QUALITY: quality_reading,
    _Metric.INVOICE: invoice_reading,
}
PERIODIC = frozenset(
    (_Metric.SPEND, _Metric.FORECAST, _Metric.SAVINGS, _Metric.QUALITY, _Metric.INVOICE)
)
"""Figures of a calendar period: an alert of one ends with it, and is raised once in it."""
EVENTS = frozenset((_Metric.RUNAWAY, _Metric.AUTOPILOT))
"""Figures whose subjects are events: they are over at once."""


def read_rule(
    rule: AlertRule,
    now: datetime | None = None,
    circuits: Mapping[str, str] | None = None,
    guarantee: Guarantee | None = None,
) -> Reading:
    """Return the current reading of ``rule``, over all its subjects.

    ``circuits`` are the states of the providers' circuits, by provider, ``guarantee`` the one in
    force.
    """
    now = now or timezone.now()
    if rule.metric == _Metric.RUNAWAY:
        return runaway_summary(rule, now)
    if rule.metric == _Metric.AUTOPILOT:
        return autopilot_summary(rule, now)
    if rule.metric == _Metric.CIRCUIT:
        return circuit_summary(rule, now, circuits or {})
    if rule.metric == _Metric.BUDGET:
        return budget_summary(rule, now)
    if rule.metric == _Metric.GUARANTEE:
        return guarantee_reading(rule, now, guarantee)
    return _SINGLE[rule.metric](rule, now)


def rule_readings(
    rule: AlertRule,
    now: datetime,
    circuits: Mapping[str, str],
    guarantee: Guarantee | None = None,
) -> list[Reading]:
    """Return the readings of ``rule`` by subject."""
    if rule.metric == _Metric.RUNAWAY:
        return list(runaway_readings(rule, now))
    if rule.metric == _Metric.AUTOPILOT:
        return list(autopilot_readings(rule, now))
    if rule.metric == _Metric.CIRCUIT:
        return list(circuit_readings(rule, now, circuits))
    if rule.metric == _Metric.BUDGET:
        return list(budget_readings(rule, now))
    return [read_rule(rule, now, guarantee=guarantee)]
