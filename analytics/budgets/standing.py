"""The balances of accounts: what is spent and what is held in given windows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal

from django.db.models import Q

from analytics.budgets.periods import BudgetWindow, freed_at
from analytics.models import Budget, BudgetAccount, BudgetHold, BudgetUsage
from analytics.money import MoneySum

Key = tuple[int, str]
_ZERO = Decimal(0)


def lock_accounts(keys: Iterable[Key]) -> dict[Key, BudgetAccount]:
    """Return the accounts of (budget, subject), locked until the transaction ends.

    Missing accounts are created. Accounts are locked in one order everywhere, so
    that two workers do not deadlock. A deadlock is possible only if each of two
    workers creates an account that the other needs; then the database aborts one
    of them, and the ledger tries again.
    """
    ordered = sorted(set(keys))
    if not ordered:
        return {}
    accounts = _lock(ordered)
    if missing := [key for key in ordered if key not in accounts]:
        BudgetAccount.objects.bulk_create(
            [BudgetAccount(budget_id=budget, subject=subject) for budget, subject in missing],
            ignore_conflicts=True,
        )
        accounts |= _lock(missing)
    return {key: accounts[key] for key in ordered}


def _lock(keys: Sequence[Key]) -> dict[Key, BudgetAccount]:
    rows = (
        BudgetAccount.objects.filter(
            budget__in={budget for budget, _ in keys}, subject__in={subject for _, subject in keys}
        )
        .order_by("pk")
        .select_for_update()
    )
    return {(account.budget_id, account.subject): account for account in rows}


class Balances:
    """Spent and held amounts (USD) in windows of accounts, read once.

    The caller keeps the held amounts current with :meth:`add_hold`.
    """

    def __init__(self, windows: Iterable[tuple[BudgetAccount, BudgetWindow]]) -> None:
        self._spent: dict[int, dict[datetime, Decimal]] = defaultdict(dict)
        self._held: dict[int, dict[datetime, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
        condition = Q()
        for account, window in windows:
            condition |= Q(account=account) & window.rows
        if not condition:
            return
        for pk, start, spent in BudgetUsage.objects.filter(condition).values_list(
            "account_id", "start", "spent"
        ):
            self._spent[pk][start] = spent
        sums = BudgetHold.objects.filter(condition).order_by().values_list("account_id", "start")
        for pk, start, held in sums.annotate(held=MoneySum("amount")):
            self._held[pk][start] = held

    def spent(self, account: BudgetAccount, window: BudgetWindow) -> Decimal:
        """Return what the account has spent in ``window``, in USD."""
        return _sum(self._spent[account.pk], window)

    def held(self, account: BudgetAccount, window: BudgetWindow) -> Decimal:
        """Return what is held for requests in progress in ``window``, in USD."""
        return _sum(self._held[account.pk], window)

    def add_hold(self, account: int, start: datetime, amount: Decimal) -> None:
        """Add a new hold, or subtract a released one with a negative ``amount``."""
        self._held[account][start] += amount

    def available_at(
        self, budget: Budget, account: BudgetAccount, window: BudgetWindow, amount: Decimal
    ) -> datetime | None:
        """Return when ``amount`` fits if nothing more is spent; ``None`` if it never fits."""
        assert budget.limit is not None
        if amount > budget.limit:
            return None
        if not window.rolling:
            return window.end
        used = self.spent(account, window) + self.held(account, window)
        both = (self._spent[account.pk], self._held[account.pk])
        for start in sorted(set().union(*both)):
            if window.counts(start):
                used -= sum((amounts.get(start, _ZERO) for amounts in both), _ZERO)
                if used + amount <= budget.limit:
                    return freed_at(budget, start)
        return window.end


def _sum(amounts: dict[datetime, Decimal], window: BudgetWindow) -> Decimal:
    return sum((amount for start, amount in amounts.items() if window.counts(start)), _ZERO)
