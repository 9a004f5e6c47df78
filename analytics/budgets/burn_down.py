"""Burn-downs: what is left of a budget in its period, and how it goes on."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from itertools import accumulate
from typing import Any

from django.db.models import Q

from analytics.budgets.periods import (
    BudgetWindow,
    free_again,
    rolling_length,
    window_at,
    windows_between,
)
from analytics.budgets.report import AccountStanding, bearing_on
from analytics.models import BudgetMark, BudgetUsage

_Spent = list[tuple[datetime, Decimal]]


def burn_downs(
    standings: Sequence[AccountStanding], now: datetime, *, most: int = 4
) -> list[dict[str, Any]]:
    """The first ``most`` that have a limit, ready for JSON: ``points`` of time and what is left of
    ``limit`` (USD, exact, as text), from ``start`` to ``now``, and ``ahead``, from there to
    ``end``: how it goes on at this pace or, where it is ``rolling``, if nothing more is spent.
    ``runs_out`` where it will be used up at this pace. All times are ISO 8601.
    """
    drawn = [one for one in standings if one.whole > 0][:most]
    marks = _spent_at(BudgetMark, "at", [one for one in drawn if not one.window.rolling])
    steps = _spent_at(BudgetUsage, "start", [one for one in drawn if one.window.rolling])
    return [
        _rolling(one, steps[one.key], now)
        if one.window.rolling
        else _burning_down(one, marks[one.key], now)
        for one in drawn
    ]


def _spent_at(
    rows: type[BudgetMark] | type[BudgetUsage], time: str, standings: Sequence[AccountStanding]
) -> dict[tuple[int, str], _Spent]:
    """What was spent by then or, of rolling budgets, in each step, also of the period before."""
    windows = {one.budget: window_at(one.budget, one.window.since) for one in standings}
    of_them = Q(account__subject__in={one.subject for one in standings})
    found: dict[tuple[int, str], _Spent] = defaultdict(list)
    for budget, subject, at, spent in (
        rows._default_manager.filter(bearing_on(windows) & of_them)
        .order_by(time)
        .values_list("account__budget_id", "account__subject", time, "spent")
    ):
        found[budget, subject].append((at, spent))
    return found


def _burning_down(one: AccountStanding, marks: _Spent, now: datetime) -> dict[str, Any]:
    start, end = one.window.start, one.window.end
    ahead = [(now, one.spent)]
    if runs_out := one.runs_out_at(now):
        ahead.append((runs_out, one.whole))
    elif now > start:
        pace = one.spent / Decimal((now - start).total_seconds())
        ahead.append((end, one.spent + pace * Decimal((end - now).total_seconds())))
    points = [(start, Decimal(0)), *marks, (now, one.spent)]
    return _plot(one, points, ahead, (start, now, end), runs_out)


def _rolling(one: AccountStanding, steps: _Spent, now: datetime) -> dict[str, Any]:
    """``steps`` reach back two lengths of it: what bears on the first moment that is drawn."""
    starts = [start for start, _ in steps]
    sums = [Decimal(0), *accumulate(spent for _, spent in steps)]

    def bearing(window: BudgetWindow) -> Decimal:
        return sums[bisect_right(starts, window.start)] - sums[bisect_left(starts, window.since)]

    length = rolling_length(one.budget)
    # It has counted since it was made, by whatever clock, and knows what bore on it then.
    first = min(max(now - length, one.budget.created_at), now)
    past = [
        (min(window.end, now), bearing(window))
        for window in windows_between(one.budget, first, one.window.start)
    ]
    last = free_again(one.budget, one.window.start)
    ahead = [
        (window.start, bearing(window))
        for window in windows_between(one.budget, one.window.end, last)
    ]
    points, ahead = _turns(past), _turns([(now, one.spent), *ahead])
    return _plot(one, points, ahead, (now - length, now, last), None)


def _plot(
    one: AccountStanding,
    points: _Spent,
    ahead: _Spent,
    times: tuple[datetime, datetime, datetime],
    runs_out: datetime | None,
) -> dict[str, Any]:
    start, now, end = (at.isoformat() for at in times)
    return {
        "name": f"{one.budget}: {one.subject}" if one.budget.each else str(one.budget),
        "budget": one.budget.pk,
        "limit": str(one.whole),
        "rolling": one.window.rolling,
        "start": start,
        "now": now,
        "end": end,
        "runs_out": runs_out.isoformat() if runs_out else None,
        "points": _left(one, points),
        "ahead": _left(one, ahead),
    }


def _left(one: AccountStanding, spent: _Spent) -> list[tuple[str, str]]:
    return [(at.isoformat(), str(one.whole - amount)) for at, amount in spent]


def _turns(points: _Spent) -> _Spent:
    """Without those between two that are the same: a line goes through them anyway."""
    return [
        point
        for n, point in enumerate(points)
        if not 0 < n < len(points) - 1 or not points[n - 1][1] == point[1] == points[n + 1][1]
    ]
