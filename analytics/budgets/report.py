"""How budgets stand now, for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import F, FloatField, Q, Sum
from django.db.models.functions import Cast, Coalesce, NullIf
from django.utils import timezone

from analytics.budgets.periods import BudgetWindow, window_at
from analytics.models import Budget, BudgetHold, BudgetUsage
from analytics.money import MoneySum, percent

_ZERO = Decimal(0)


@dataclass(slots=True)
class AccountStanding:
    """One subject's, in USD: ``lost`` is the part of ``held`` whose requests will never be
    finished.
    """

    budget: Budget
    subject: str
    window: BudgetWindow
    spent: Decimal = _ZERO
    held: Decimal = _ZERO
    lost: Decimal = _ZERO
    refused: int = 0

    @property
    def key(self) -> tuple[int, str]:
        """The account's: its budget's and whose it is."""
        return self.budget.pk, self.subject

    @property
    def left(self) -> Decimal | None:
        """What may still be held; ``None`` without a limit."""
        limit = self.budget.limit
        return None if limit is None else max(limit - self.spent - self.held, _ZERO)

    @property
    def whole(self) -> Decimal:
        """The limit or, without one, the soft limit."""
        limit = self.budget.limit if self.budget.limit is not None else self.budget.soft_limit
        return limit or _ZERO

    @property
    def used_percent(self) -> float:
        return percent(self.spent + self.held, self.whole)

    @property
    def ends_at(self) -> datetime | None:
        """When it begins anew; a rolling one does so bit by bit."""
        return None if self.window.rolling else self.window.end

    def runs_out_at(self, now: datetime) -> datetime | None:
        """When it is used up if spending goes on as it has since it began; ``None`` where it
        lasts until it begins anew, has no limit, or gives back bit by bit.
        """
        if self.window.rolling or self.left is None:
            return None
        used, passed = self.spent + self.held, now - self.window.start
        if not self.left:
            return now
        if not used or passed <= timedelta(0):
            return None
        # The period bounds it, and a float is enough for a time of day.
        seconds = passed.total_seconds() * float(self.left) / float(used)
        left = (self.window.end - now).total_seconds()
        return now + timedelta(seconds=seconds) if seconds < left else None


def standings(
    budgets: Iterable[Budget], *, most: int = 10, now: datetime | None = None
) -> list[AccountStanding]:
    """Each budget's accounts that have spent most, at most so many of each; a budget that is not
    each one's own is there even if nothing was spent.
    """
    windows = {budget: window_at(budget, now or timezone.now()) for budget in budgets}
    # Those of one account each together; of the others, who may be many, the first of each.
    single = {budget: window for budget, window in windows.items() if not budget.each}
    found = _read(single, most=len(single)) if single else {}
    for budget, window in windows.items():
        if budget.each:
            found |= _read({budget: window}, most)
    return [
        standing
        for budget, window in windows.items()
        for standing in found.get(budget.pk)
        or ([] if budget.each else [AccountStanding(budget, budget.subject, window)])
    ]


def most_used(
    budgets: Iterable[Budget], *, most: int = 10, now: datetime | None = None
) -> list[AccountStanding]:
    """The accounts of all of them that are used up most, so many in all."""
    windows = {budget: window_at(budget, now or timezone.now()) for budget in budgets}
    if not windows:
        return []
    found = [one for standing in _read(windows, most).values() for one in standing]
    known = {one.budget for one in found}
    # A budget of one account is there even if nothing was spent.
    found += [
        AccountStanding(budget, budget.subject, window)
        for budget, window in windows.items()
        if budget not in known and not budget.each
    ]
    return sorted(found, key=lambda standing: -standing.used_percent)[:most]


def _read(windows: Mapping[Budget, BudgetWindow], most: int) -> dict[int, list[AccountStanding]]:
    """The ``most`` accounts that are used up most, by budget."""
    by_id = {budget.pk: budget for budget in windows}
    accounts: dict[tuple[int, str], AccountStanding] = {}
    # Of budgets with the same limit, those that have spent most; without one, by the soft one.
    whole = Cast(Coalesce("account__budget__limit", "account__budget__soft_limit"), FloatField())
    used = _bearing(BudgetUsage, windows).annotate(
        all=MoneySum("spent"),
        turned=Sum("refused"),
        share=Cast(Sum("spent"), FloatField()) / NullIf(whole, 0.0),
    )
    for pk, subject, spent, refused, _ in used.order_by(F("share").desc(nulls_first=True))[:most]:
        window = windows[by_id[pk]]
        accounts[pk, subject] = AccountStanding(by_id[pk], subject, window, spent, refused=refused)
    held = _bearing(BudgetHold, windows).annotate(
        all=MoneySum("amount"), gone=MoneySum("amount", filter=Q(lost_at__isnull=False))
    )
    for pk, subject, amount, lost in held:
        if (pk, subject) not in accounts and len(accounts) < most:
            accounts[pk, subject] = AccountStanding(by_id[pk], subject, windows[by_id[pk]])
        if standing := accounts.get((pk, subject)):
            standing.held, standing.lost = amount, lost
    found: dict[int, list[AccountStanding]] = {}
    for standing in accounts.values():
        found.setdefault(standing.budget.pk, []).append(standing)
    return found


def bearing_on(windows: Mapping[Budget, BudgetWindow]) -> Q:
    """Rows of accounts that bear on the budgets in those windows."""
    wanted = Q(pk__in=())
    for budget, window in windows.items():
        wanted |= Q(account__budget=budget) & window.rows
    return wanted


def _bearing(
    rows: type[BudgetUsage] | type[BudgetHold], windows: Mapping[Budget, BudgetWindow]
) -> Any:
    """Rows that bear on the budgets now, by budget and subject."""
    return (
        rows._default_manager.filter(bearing_on(windows))
        .order_by()
        .values_list("account__budget_id", "account__subject")
    )
