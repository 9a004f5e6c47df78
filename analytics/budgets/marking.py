"""How budgets are used up, written down as it happens: a budget's row knows only its sum.

A chore marks it each time another hundredth of the limit is gone, so a period has about a
hundred marks at most, whatever the traffic.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from django.db.models import Max, Q
from django.utils import timezone

from analytics.budgets.report import bearing_on, most_used
from analytics.models import Budget, BudgetAccount, BudgetMark

_MOST = 200
"""Accounts that are followed: those used up most. Nobody looks at more at once."""
_MARKS = 100


def budgets_mark(now: datetime | None = None) -> int:
    """Write down what the accounts used most have spent, where it moved; how many did.

    A rolling budget needs no marks: its steps are all kept.
    """
    now = now or timezone.now()
    found = most_used(Budget.objects.filter(enabled=True), most=_MOST, now=now)
    followed = {one.key: one for one in found if one.spent and one.whole and not one.window.rolling}
    bearing = bearing_on({one.budget: one.window for one in followed.values()})
    of_them = Q(account__subject__in={subject for _, subject in followed})
    marked = BudgetMark.objects.filter(bearing & of_them).order_by()
    before: dict[tuple[int, str], Decimal] = {
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
    accounts = BudgetAccount.objects.filter(
        budget__in={budget for budget, _ in moved}, subject__in={subject for _, subject in moved}
    )
    marks = [
        BudgetMark(account=account, start=moved[key].window.start, at=now, spent=moved[key].spent)
        for account in accounts
        if (key := (account.budget_id, account.subject)) in moved
    ]
    # Several workers may look at once: what one has marked at a moment, another need not.
    BudgetMark.objects.bulk_create(marks, ignore_conflicts=True)
    return len(marks)
