"""Figures of the last minutes: failed requests and latency."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from math import ceil
from statistics import median
from typing import Any

from django.db.models import Count, Q

from analytics.alerts.reading import Reading, above
from analytics.models import AlertRule, RequestRecord
from analytics.reports.exploration.dimensions import filtered
from analytics.reports.rollup_coverage import day_of
from analytics.reports.sum_queries import requests_in

FEWEST_REQUESTS = 20
"""A share of fewer requests says little."""
_FEWEST_FAILED = 3
_PAST_DAYS, _FEWEST_DAYS = 7, 3
_SHARE = 0.95


def errors_reading(rule: AlertRule, now: datetime) -> Reading:
    """Return which share of the last minutes' requests failed, in %."""
    today = day_of(now).date()
    counts = _rows(rule, now).aggregate(
        all=Count("pk"), failed=Count("pk", filter=Q(status=RequestRecord.Status.ERROR))
    )
    total, failed = counts["all"], counts["failed"]
    if total < FEWEST_REQUESTS or 0 < failed < _FEWEST_FAILED:
        text = f"{failed} of {total} requests failed{_of(rule)}, too few to judge."
        return above(rule, today, None, text)
    share = Decimal(100 * failed) / total
    text = f"{share:.1f} % of {total} requests failed{_of(rule)}, limit {rule.limit_text} %."
    return above(rule, today, share, text)


def latency_reading(rule: AlertRule, now: datetime) -> Reading:
    """Return the 95th percentile of the last minutes' latencies, in ms."""
    today = day_of(now).date()
    p95, count = _p95(_rows(rule, now))
    if p95 is None:
        return above(rule, today, None, _too_few(rule, count))
    text = (
        f"the 95th percentile of the latency is {p95:,.0f} ms in {count} requests{_of(rule)}, "
        f"limit {rule.limit:,.0f} ms."
    )
    return above(rule, today, _decimal(p95), text)


def slower_reading(rule: AlertRule, now: datetime) -> Reading:
    """Return how many times its usual value the 95th percentile of latency is.

    The usual value is the median of those at the same time of the last seven days.
    """
    today = day_of(now).date()
    p95, count = _p95(_rows(rule, now))
    if p95 is None:
        return above(rule, today, None, _too_few(rule, count))
    days = (now - timedelta(days=ago) for ago in range(1, _PAST_DAYS + 1))
    past = [known for day in days if (known := _p95(_rows(rule, day))[0]) is not None]
    if len(past) < _FEWEST_DAYS:
        text = f"too few of the last seven days had requests at this time{_of(rule)} to compare."
        return above(rule, today, None, text)
    usual = median(past)
    times = p95 / usual if usual else 1.0
    text = (
        f"the 95th percentile of the latency is {p95:,.0f} ms in {count} requests{_of(rule)}, "
        f"{times:.1f} times the usual {usual:,.0f} ms, limit {rule.limit_text} times."
    )
    return above(rule, today, _decimal(times), text)


def _rows(rule: AlertRule, until: datetime) -> Any:
    rows = requests_in(until - timedelta(minutes=rule.window_minutes), until)
    return filtered(rows, rule.filters)


def _p95(rows: Any) -> tuple[float | None, int]:
    """Return the 95th percentile of answers that were not cached, and their number."""
    answered = rows.exclude(status=RequestRecord.Status.ERROR).filter(cache_hit=False)
    count = answered.count()
    if count < FEWEST_REQUESTS:
        return None, count
    place = ceil(_SHARE * count) - 1
    latencies = answered.order_by("latency_ms").values_list("latency_ms", flat=True)
    rest = list(latencies[place : place + 1])
    return (rest[0] if rest else None), count


def _of(rule: AlertRule) -> str:
    return f"{rule.filter_text} in the last {rule.window_minutes} minutes"


def _too_few(rule: AlertRule, count: int) -> str:
    return f"{count} requests{_of(rule)}, too few to judge."


def _decimal(value: float) -> Decimal:
    return Decimal(str(round(value, 6)))
