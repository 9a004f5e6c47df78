"""Records how budgets are used up over time, since a usage row holds only the sum.

A periodic task writes a mark each time another 1 % of the limit is spent, so a period has about
a hundred marks at most, whatever the traffic.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from django.db.models import Max, Q
from django.utils import timezone

from analytics.budgets.report import most_used, rows_in_windows
from analytics.models import Budget, BudgetAccount, BudgetMark

_MOST = 200
"""Accounts with marks: those that have used most of their limit. No page shows more of them."""
_MARKS = 100


def budgets_mark(now: datetime | None = None) -> int:
    """Write a mark for each of the most used accounts that has moved; return how many did.

    A rolling budget needs no marks: all its steps are stored.
    """
    now = now or timezone.now()
    accounts = {
        account.key: account
        for account in most_used(Budget.objects.filter(enabled=True), most=_MOST, now=now)
        if account.spent and account.effective_limit and not account.window.rolling
    }
    in_windows = rows_in_windows({account.budget: account.window for account in accounts.values()})
    of_subjects = Q(account__subject__in={subject for _, subject in accounts})
    marked = BudgetMark.objects.filter(in_windows & of_subjects).order_by()
    before: dict[tuple[int, str], Decimal] = {
        (row["account__budget_id"], row["account__subject"]): row["most"]
        for row in marked.values("account__budget_id", "account__subject").annotate(
            most=Max("spent")
        )
    }
    moved = {
        key: account
        for key, account in accounts.items()
        if key not in before or account.spent - before[key] >= account.effective_limit / _MARKS
    }
    if not moved:
        return 0
    rows = BudgetAccount.objects.filter(
        budget__in={budget for budget, _ in moved}, subject__in={subject for _, subject in moved}
    )
    marks = [
        BudgetMark(account=row, start=moved[key].window.start, at=now, spent=moved[key].spent)
        for row in rows
        if (key := (row.budget_id, row.subject)) in moved
    ]
    # Several workers may run this at once: a mark that another has written is not needed twice.
    BudgetMark.objects.bulk_create(marks, ignore_conflicts=True)
    return len(marks)
