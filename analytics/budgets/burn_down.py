"""Burn-downs: what is left of a budget over its period, and a forecast."""

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
    freed_at,
    rolling_length,
    window_at,
    windows_between,
)
from analytics.budgets.report import AccountStanding, rows_in_windows
from analytics.models import BudgetMark, BudgetUsage

_Spent = list[tuple[datetime, Decimal]]


def burn_downs(
    standings: Sequence[AccountStanding], now: datetime, *, most: int = 4
) -> list[dict[str, Any]]:
    """Return plots, ready for JSON, of the first ``most`` accounts that have a limit.

    ``points`` are pairs of a time and what is left of ``limit`` (USD, exact, as text)
    from ``start`` to ``now``. ``ahead`` goes on from there to ``end``: the forecast at
    the current pace or, for a ``rolling`` budget, if nothing more is spent.
    ``runs_out`` is when the budget is used up at this pace, or ``None``. All times are
    ISO 8601.
    """
    plotted = [account for account in standings if account.effective_limit > 0][:most]
    marks = _spent_at(BudgetMark, "at", [a for a in plotted if not a.window.rolling])
    steps = _spent_at(BudgetUsage, "start", [a for a in plotted if a.window.rolling])
    return [
        _rolling_plot(account, steps[account.key], now)
        if account.window.rolling
        else _period_plot(account, marks[account.key], now)
        for account in plotted
    ]


def _spent_at(
    rows: type[BudgetMark] | type[BudgetUsage], time: str, standings: Sequence[AccountStanding]
) -> dict[tuple[int, str], _Spent]:
    """Return by account what was spent up to each time (marks) or in each step (usage).

    The steps of a rolling budget include those of the period before.
    """
    windows = {a.budget: window_at(a.budget, a.window.since) for a in standings}
    of_subjects = Q(account__subject__in={a.subject for a in standings})
    amounts: dict[tuple[int, str], _Spent] = defaultdict(list)
    for budget, subject, at, spent in (
        rows._default_manager.filter(rows_in_windows(windows) & of_subjects)
        .order_by(time)
        .values_list("account__budget_id", "account__subject", time, "spent")
    ):
        amounts[budget, subject].append((at, spent))
    return amounts


def _period_plot(account: AccountStanding, marks: _Spent, now: datetime) -> dict[str, Any]:
    start, end = account.window.start, account.window.end
    ahead = [(now, account.spent)]
    if runs_out := account.runs_out_at(now):
        ahead.append((runs_out, account.effective_limit))
    elif now > start:
        pace = account.spent / Decimal((now - start).total_seconds())
        ahead.append((end, account.spent + pace * Decimal((end - now).total_seconds())))
    points = [(start, Decimal(0)), *marks, (now, account.spent)]
    return _plot(account, points, ahead, (start, now, end), runs_out)


def _rolling_plot(account: AccountStanding, steps: _Spent, now: datetime) -> dict[str, Any]:
    """Return the plot of a rolling budget.

    ``steps`` reach back two lengths of the period: what counts at the first moment drawn.
    """
    starts = [start for start, _ in steps]
    sums = [Decimal(0), *accumulate(spent for _, spent in steps)]

    def spent_in(window: BudgetWindow) -> Decimal:
        return sums[bisect_right(starts, window.start)] - sums[bisect_left(starts, window.since)]

    length = rolling_length(account.budget)
    # The budget counts since it was created, including what its first window had cost before.
    # Clocks may differ, so that is never later than now.
    first = min(max(now - length, account.budget.created_at), now)
    past = [
        (min(window.end, now), spent_in(window))
        for window in windows_between(account.budget, first, account.window.start)
    ]
    last = freed_at(account.budget, account.window.start)
    ahead = [
        (window.start, spent_in(window))
        for window in windows_between(account.budget, account.window.end, last)
    ]
    points, ahead = _without_repeats(past), _without_repeats([(now, account.spent), *ahead])
    return _plot(account, points, ahead, (now - length, now, last), None)


def _plot(
    account: AccountStanding,
    points: _Spent,
    ahead: _Spent,
    times: tuple[datetime, datetime, datetime],
    runs_out: datetime | None,
) -> dict[str, Any]:
    start, now, end = (at.isoformat() for at in times)
    budget = account.budget
    return {
        "name": f"{budget}: {account.subject}" if budget.each else str(budget),
        "budget": budget.pk,
        "limit": str(account.effective_limit),
        "rolling": account.window.rolling,
        "start": start,
        "now": now,
        "end": end,
        "runs_out": runs_out.isoformat() if runs_out else None,
        "points": _left(account, points),
        "ahead": _left(account, ahead),
    }


def _left(account: AccountStanding, spent: _Spent) -> list[tuple[str, str]]:
    return [(at.isoformat(), str(account.effective_limit - amount)) for at, amount in spent]


def _without_repeats(points: _Spent) -> _Spent:
    """Return the points without those between two of equal amount: the line passes through."""
    return [
        point
        for n, point in enumerate(points)
        if not 0 < n < len(points) - 1 or not points[n - 1][1] == point[1] == points[n + 1][1]
    ]
