"""How budgets stand now, for people."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db.models import Q, Sum
from django.utils import timezone

from analytics.budgets.periods import Window, window_at
from analytics.models import Budget, BudgetHold, BudgetUsage
from analytics.money import MoneySum, percent

_ZERO = Decimal(0)


@dataclass(slots=True)
class AccountStanding:
    """One subject's, in USD: ``lost`` is the part of ``held`` whose requests will never be
    finished."""

    budget: Budget
    subject: str
    window: Window
    spent: Decimal = _ZERO
    held: Decimal = _ZERO
    lost: Decimal = _ZERO
    refused: int = 0

    @property
    def left(self) -> Decimal | None:
        """What may still be held; ``None`` without a limit."""
        limit = self.budget.limit
        return None if limit is None else max(limit - self.spent - self.held, _ZERO)

    @property
    def used_percent(self) -> float:
        """Of the limit or, without one, of the soft limit."""
        whole = self.budget.limit if self.budget.limit is not None else self.budget.soft_limit
        return percent(self.spent + self.held, whole or _ZERO)

    @property
    def ends_at(self) -> datetime | None:
        """When it begins anew; a rolling one does so bit by bit."""
        return None if self.budget.period == Budget.Period.ROLLING else self.window.end


def standings(
    budgets: Iterable[Budget], *, most: int = 10, now: datetime | None = None
) -> list[AccountStanding]:
    """Each budget's accounts that have spent most, at most so many of each; a budget that is not
    each one's own is there even if nothing was spent."""
    now = now or timezone.now()
    return [standing for budget in budgets for standing in _of_budget(budget, most, now)]


def _of_budget(budget: Budget, most: int, now: datetime) -> list[AccountStanding]:
    window = window_at(budget, now)
    within = Q(start=window.start) if window.since == window.start else Q(start__gte=window.since)
    used = BudgetUsage.objects.filter(within, account__budget=budget).order_by()
    found = {}
    sums = used.values_list("account_id", "account__subject").annotate(
        all=MoneySum("spent"), turned_away=Sum("refused")
    )
    for account, subject, spent, refused in sums.order_by("-all")[:most]:
        found[account] = AccountStanding(budget, subject, window, spent, refused=refused)
    holds = BudgetHold.objects.filter(within, account__budget=budget).order_by()
    for account, subject, held, lost in holds.values_list(
        "account_id", "account__subject"
    ).annotate(all=MoneySum("amount"), gone=MoneySum("amount", filter=Q(lost_at__isnull=False))):
        if account not in found and len(found) >= most:
            continue
        standing = found.setdefault(account, AccountStanding(budget, subject, window))
        standing.held, standing.lost = held, lost
    if not found and not budget.each:
        return [AccountStanding(budget, budget.subject, window)]
    return sorted(found.values(), key=lambda standing: -standing.spent)
