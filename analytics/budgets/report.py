"""The current use of budgets, for pages and commands."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import F, FloatField, Q, Sum
from django.db.models.functions import Cast, Coalesce, NullIf
from django.utils import timezone

from analytics.budgets.claims import Charge, Cost, Payer, draws, key_origins
from analytics.budgets.periods import BudgetWindow, window_at
from analytics.models import Budget, BudgetHold, BudgetUsage
from analytics.money import MoneySum, percent

_ZERO = Decimal(0)


@dataclass(slots=True)
class AccountStanding:
    """The current use of one account, in USD.

    ``lost`` is the part of ``held`` whose requests will never finish, because
    their worker died. ``refused`` is the number of refused requests.
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
        """Return the account's key: the budget's id and the subject."""
        return self.budget.pk, self.subject

    @property
    def left(self) -> Decimal | None:
        """Return what can still be held; ``None`` without a limit."""
        limit = self.budget.limit
        return None if limit is None else max(limit - self.spent - self.held, _ZERO)

    @property
    def effective_limit(self) -> Decimal:
        """Return the limit or, without one, the soft limit."""
        limit = self.budget.limit if self.budget.limit is not None else self.budget.soft_limit
        return limit or _ZERO

    @property
    def used_percent(self) -> float:
        """Return spent and held money as a percentage of the effective limit."""
        return percent(self.spent + self.held, self.effective_limit)

    @property
    def ends_at(self) -> datetime | None:
        """Return when the budget resets; ``None`` if it is rolling and frees money in steps."""
        return None if self.window.rolling else self.window.end

    def runs_out_at(self, now: datetime) -> datetime | None:
        """Return when the budget is used up at the pace of its period so far.

        ``None`` if it lasts until it resets, has no limit, or is rolling.
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
    """Return the accounts of each budget that have spent most, at most ``most`` of each.

    A budget with a single account is included even if nothing was spent.
    """
    windows = {budget: window_at(budget, now or timezone.now()) for budget in budgets}
    # One query for all budgets with a single account; one query for each budget with many.
    single = {budget: window for budget, window in windows.items() if not budget.each}
    accounts = _read(single, most=len(single)) if single else {}
    for budget, window in windows.items():
        if budget.each:
            accounts |= _read({budget: window}, most)
    return [
        standing
        for budget, window in windows.items()
        for standing in accounts.get(budget.pk)
        or ([] if budget.each else [AccountStanding(budget, budget.subject, window)])
    ]


def standings_of(*payers: Payer, now: datetime | None = None) -> list[AccountStanding]:
    """Return the accounts of all enabled budgets that requests of ``payers`` draw from.

    Budgets of single providers and models are left out: which of them it draws from is known only
    once a model is chosen.
    """
    at = now or timezone.now()
    enabled = Budget.objects.filter(enabled=True)
    budgets = list(enabled.exclude(scope__in=(Budget.Scope.PROVIDER, Budget.Scope.MODEL)))
    origins = key_origins(budgets)
    accounts = {
        draw.account: draw
        for payer in payers
        for draw in draws(budgets, Cost(uuid.uuid4(), at, payer, (Charge("", "", _ZERO),)), origins)
    }
    windows = {draw.budget: draw.window for draw in accounts.values()}
    mine = Q(pk__in=())
    for draw in accounts.values():
        mine |= Q(account__budget=draw.budget, account__subject=draw.subject)
    known = _read(windows, len(accounts), mine) if windows else {}
    return [
        next(
            (one for one in known.get(draw.budget.pk, ()) if one.subject == draw.subject),
            AccountStanding(draw.budget, draw.subject, draw.window),
        )
        for draw in accounts.values()
    ]


def most_used(
    budgets: Iterable[Budget], *, most: int = 10, now: datetime | None = None
) -> list[AccountStanding]:
    """Return the ``most`` accounts of all budgets that have used most of their limit."""
    windows = {budget: window_at(budget, now or timezone.now()) for budget in budgets}
    if not windows:
        return []
    accounts = [account for group in _read(windows, most).values() for account in group]
    known = {account.budget for account in accounts}
    # A budget with a single account is included even if nothing was spent.
    accounts += [
        AccountStanding(budget, budget.subject, window)
        for budget, window in windows.items()
        if budget not in known and not budget.each
    ]
    return sorted(accounts, key=lambda account: -account.used_percent)[:most]


def _read(
    windows: Mapping[Budget, BudgetWindow], most: int, accounts_wanted: Q | None = None
) -> dict[int, list[AccountStanding]]:
    """Return the ``most`` accounts that have used most of their limit, by budget."""
    wanted = Q() if accounts_wanted is None else accounts_wanted
    by_id = {budget.pk: budget for budget in windows}
    accounts: dict[tuple[int, str], AccountStanding] = {}
    # The order is by share of the limit or, without one, of the soft limit.
    limit = Cast(Coalesce("account__budget__limit", "account__budget__soft_limit"), FloatField())
    used = (
        _rows_by_account(BudgetUsage, windows)
        .filter(wanted)
        .annotate(
            all=MoneySum("spent"),
            turned=Sum("refused"),
            share=Cast(Sum("spent"), FloatField()) / NullIf(limit, 0.0),
        )
    )
    for pk, subject, spent, refused, _ in used.order_by(F("share").desc(nulls_first=True))[:most]:
        window = windows[by_id[pk]]
        accounts[pk, subject] = AccountStanding(by_id[pk], subject, window, spent, refused=refused)
    held = (
        _rows_by_account(BudgetHold, windows)
        .filter(wanted)
        .annotate(all=MoneySum("amount"), gone=MoneySum("amount", filter=Q(lost_at__isnull=False)))
    )
    for pk, subject, amount, lost in held:
        if (pk, subject) not in accounts and len(accounts) < most:
            accounts[pk, subject] = AccountStanding(by_id[pk], subject, windows[by_id[pk]])
        if standing := accounts.get((pk, subject)):
            standing.held, standing.lost = amount, lost
    by_budget: dict[int, list[AccountStanding]] = {}
    for standing in accounts.values():
        by_budget.setdefault(standing.budget.pk, []).append(standing)
    return by_budget


def rows_in_windows(windows: Mapping[Budget, BudgetWindow]) -> Q:
    """Return a filter for the rows of the budgets' accounts that count in the given windows."""
    condition = Q(pk__in=())
    for budget, window in windows.items():
        condition |= Q(account__budget=budget) & window.rows
    return condition


def _rows_by_account(
    rows: type[BudgetUsage] | type[BudgetHold], windows: Mapping[Budget, BudgetWindow]
) -> Any:
    """Return a query for the rows that count in ``windows``, grouped by budget and subject."""
    return (
        rows._default_manager.filter(rows_in_windows(windows))
        .order_by()
        .values_list("account__budget_id", "account__subject")
    )
