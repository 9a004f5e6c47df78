"""How budgets are used up within their period: written down as it happens, drawn as a burn-down.

A budget's row knows only what was spent so far. A chore marks it each time another hundredth
of the limit is gone, so a period has about a hundred marks at most, whatever the traffic.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db.models import Max, Q
from django.utils import timezone

from analytics.budgets.report import AccountStanding, most_used
from analytics.models import Budget, BudgetAccount, BudgetMark

_MOST = 200
"""Accounts that are followed: those used up most. Nobody looks at more at once."""
_MARKS = 100
_Key = tuple[int, str]


def budgets_mark(now: datetime | None = None) -> int:
    """Write down what the accounts used most have spent, where it moved; how many did."""
    now = now or timezone.now()
    found = most_used(Budget.objects.filter(enabled=True), most=_MOST, now=now)
    followed = {_key(one): one for one in found if _is_drawn(one) and one.spent}
    marked = BudgetMark.objects.filter(_of(list(followed.values()))).order_by()
    before: dict[_Key, Decimal] = {
        (row["account__budget_id"], row["account__subject"]): row["most"]
        for row in marked.values("account__budget_id", "account__subject").annotate(
            most=Max("spent")
        )
    }
    moved = {
        key: one
        for key, one in followed.items()
        if key not in before or one.spent - before[key] >= one.whole / _MARKS
    }
    if not moved:
        return 0
    accounts = BudgetAccount.objects.filter(_accounts(list(moved.values())))
    marks = [
        BudgetMark(account=account, start=moved[key].window.start, at=now, spent=moved[key].spent)
        for account in accounts
        if (key := (account.budget_id, account.subject)) in moved
    ]
    # Several workers may look at once: what one has marked at a moment, another need not.
    BudgetMark.objects.bulk_create(marks, ignore_conflicts=True)
    return len(marks)


def burn_downs(
    standings: Sequence[AccountStanding], now: datetime, *, most: int = 4
) -> list[dict[str, Any]]:
    """The first ``most`` that have a limit and begin anew, ready for JSON: ``points`` of time and
    what is left of ``limit`` (USD, exact, as text), from ``start`` to ``now``; ``end`` and, where
    it will be used up at this pace, ``runs_out``. All times are ISO 8601."""
    drawn = [one for one in standings if _is_drawn(one)][:most]
    marks: dict[_Key, list[tuple[datetime, Decimal]]] = defaultdict(list)
    rows = BudgetMark.objects.filter(_of(drawn)).order_by("at")
    for budget, subject, at, spent in rows.values_list(
        "account__budget_id", "account__subject", "at", "spent"
    ):
        marks[budget, subject].append((at, spent))
    return [_burn_down(one, marks[_key(one)], now) for one in drawn]


def _burn_down(
    one: AccountStanding, marks: Sequence[tuple[datetime, Decimal]], now: datetime
) -> dict[str, Any]:
    whole, runs_out = one.whole, one.runs_out_at(now)
    points = [(one.window.start, Decimal(0)), *marks, (now, one.spent)]
    return {
        "name": f"{one.budget}: {one.subject}" if one.budget.each else str(one.budget),
        "budget": one.budget.pk,
        "limit": str(whole),
        "start": one.window.start.isoformat(),
        "end": one.window.end.isoformat(),
        "now": now.isoformat(),
        "runs_out": runs_out.isoformat() if runs_out else None,
        "points": [(at.isoformat(), str(whole - spent)) for at, spent in points],
    }


def _is_drawn(one: AccountStanding) -> bool:
    return not one.window.rolling and one.whole > 0


def _key(one: AccountStanding) -> _Key:
    return one.budget.pk, one.subject


def _of(standings: Sequence[AccountStanding]) -> Q:
    """The marks of their periods."""
    found = Q(pk__in=())
    for budget, start in {(one.budget.pk, one.window.start) for one in standings}:
        found |= Q(account__budget=budget, start=start)
    return found & Q(account__subject__in={one.subject for one in standings})


def _accounts(standings: Sequence[AccountStanding]) -> Q:
    budgets = {one.budget.pk for one in standings}
    return Q(budget__in=budgets, subject__in={one.subject for one in standings})
