"""Whether the last hours cost more than is usual for these hours of the week."""

from __future__ import annotations

import zoneinfo
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

import numpy as np
from django.conf import settings
from django.db.models.functions import TruncHour
from numpy.typing import NDArray

from analytics.alerts.detector import (
    FALSE_ALARMS,
    FEWEST_DISTANCES,
    FEWEST_WEEKS,
    MOST_WEEKS,
    WINDOWS,
    AmountCheck,
    Floats,
    check_amount,
)
from analytics.reports.exploration.cells import kept_cells
from analytics.reports.exploration.scans import CellQuery
from analytics.reports.rollup_coverage import HOUR, RollupCoverage, hour_of

Places = NDArray[np.int64]
_WEEK_HOURS = 7 * 24
_MOSTLY = 0.75
"""Spending must be so regular that this share of the windows, without those that are always empty,
has some."""
_JUDGED = 4 * _WEEK_HOURS
"""Hours that show how far amounts stray by themselves."""
_READ = MOST_WEEKS * _WEEK_HOURS + _JUDGED + max(WINDOWS) + 2


@dataclass(frozen=True, slots=True)
class UnusualSpend:
    """The ``hours`` until ``until`` compared with what is usual."""

    hours: int
    until: datetime
    figures: AmountCheck

    @property
    def excess(self) -> Decimal:
        """Return the USD above the usual amount."""
        return Decimal(str(round(self.figures.amount - self.figures.expected, 10)))


def unusual_spend(filters: Mapping[str, str], now: datetime) -> list[UnusualSpend]:
    """Compare the last whole hours with the same hours of the weeks before, by window.

    Hours are compared at the same time of the day in ``REPORT_TIME_ZONE``, so that a change to
    summer time moves nothing. The list is empty with too little spending to know what is usual,
    else it begins with the window that is furthest beyond its bound.
    """
    until = hour_of(now)
    since = until - HOUR * _READ
    horizon = RollupCoverage.now(since).by_hours()
    query = CellQuery((), since, until, TruncHour)
    (cells,), _ = kept_cells([query], filters, horizon, (), ("cost",))
    by_hour = {at: float(figures["cost"]) for (at, _), figures in cells.items() if at is not None}
    return compare_hours(by_hour, until, zoneinfo.ZoneInfo(settings.REPORT_TIME_ZONE))


def compare_hours(
    by_hour: Mapping[datetime, float], until: datetime, zone: zoneinfo.ZoneInfo
) -> list[UnusualSpend]:
    """Compare the hours before ``until``; ``by_hour`` has the cost of each hour (UTC)."""
    began = min((hour for hour, cost in by_hour.items() if cost), default=None)
    if began is None:
        return []
    length = min(_READ, int((until - began) / HOUR))
    hourly = np.array([by_hour.get(until - HOUR * n, 0.0) for n in range(length, 0, -1)])
    places = same_hours(until, length, zone)
    checks = []
    for width in WINDOWS:
        amounts = np.convolve(hourly, np.ones(width))[:length]
        amounts[: width - 1] = np.nan  # windows that begin before the first hour
        moments = _moments(amounts, places)
        if moments is None:
            continue
        check = check_amount(moments[:-1], moments[-1], FALSE_ALARMS / len(WINDOWS))
        if check is not None:
            checks.append(UnusualSpend(width, until, check))
    return sorted(checks, key=lambda spend: -spend.figures.amount / spend.figures.bound)


def _moments(amounts: Floats, places: Places) -> Floats | None:
    """Return each window with those of the weeks before it, the latest last; None if too few."""
    table = np.where(places >= 0, amounts[places], np.nan)
    # As many weeks as the history allows, the same number for all.
    for weeks in range(MOST_WEEKS, FEWEST_WEEKS - 1, -1):
        rows = table[:, : weeks + 1]
        whole: NDArray[np.bool_] = np.asarray(~np.isnan(rows).any(axis=1))
        if not whole[-1]:
            continue
        past = rows[:-1][whole[:-1]][-_JUDGED:]
        past = past[past.any(axis=1)]
        if len(past) < FEWEST_DISTANCES:
            continue
        if np.count_nonzero(past[:, 0]) < _MOSTLY * len(past):
            return None
        return np.vstack([past, rows[-1:]])
    return None


def same_hours(until: datetime, length: int, zone: zoneinfo.ZoneInfo) -> Places:
    """Return (length, weeks + 1) places of each hour and of the same local hour of weeks before.

    Places count from the first of ``length`` hours that end at ``until``; -1 is before it.
    """
    offsets = np.array([
        _offset(until - HOUR * n, zone) for n in range(length, 0, -1)
    ])  # fmt: skip
    own = np.arange(length)
    columns = [own]
    for week in range(1, MOST_WEEKS + 1):
        there = own - week * _WEEK_HOURS
        # Summer time between both: the same local hour is one hour earlier or later in UTC.
        shift = offsets - offsets[np.maximum(there, 0)]
        there = there + shift
        columns.append(np.where(there >= 0, np.minimum(there, length - 1), -1))
    return np.stack(columns, axis=1)


def _offset(hour: datetime, zone: zoneinfo.ZoneInfo) -> int:
    """Return by how many whole hours ``zone`` is ahead of UTC."""
    offset = hour.astimezone(zone).utcoffset() or timedelta(0)
    return round(offset / HOUR)
