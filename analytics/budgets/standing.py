"""How accounts stand: what is spent and what is held, in the windows that are asked for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal

from django.db.models import Q

from analytics.budgets.periods import BudgetWindow, free_again
from analytics.models import Budget, BudgetAccount, BudgetHold, BudgetUsage
from analytics.money import MoneySum

Key = tuple[int, str]
_ZERO = Decimal(0)


def locked_accounts(keys: Iterable[Key]) -> dict[Key, BudgetAccount]:
    """The accounts of (budget, subject), made where missing, locked until the transaction ends.

    Locked in one order everywhere, so that two workers do not wait for each other
    in a circle. Only where both make accounts that the other wants may they; then
    the database ends one of them, and the ledger tries again.
    """
    wanted = sorted(set(keys))
    if not wanted:
        return {}
    accounts = _lock(wanted)
    if missing := [key for key in wanted if key not in accounts]:
        BudgetAccount.objects.bulk_create(
            [BudgetAccount(budget_id=budget, subject=subject) for budget, subject in missing],
            ignore_conflicts=True,
        )
        accounts |= _lock(missing)
    return {key: accounts[key] for key in wanted}


def _lock(keys: Sequence[Key]) -> dict[Key, BudgetAccount]:
    found = (
        BudgetAccount.objects.filter(
            budget__in={budget for budget, _ in keys}, subject__in={subject for _, subject in keys}
        )
        .order_by("pk")
        .select_for_update()
    )
    return {(account.budget_id, account.subject): account for account in found}


class Standing:
    """What bears on the given windows of accounts, read once and then kept up by its reader."""

    def __init__(self, windows: Iterable[tuple[BudgetAccount, BudgetWindow]]) -> None:
        self._spent: dict[int, dict[datetime, Decimal]] = defaultdict(dict)
        self._held: dict[int, dict[datetime, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
        wanted = Q()
        for account, window in windows:
            wanted |= Q(account=account) & window.rows
        if not wanted:
            return
        for pk, start, spent in BudgetUsage.objects.filter(wanted).values_list(
            "account_id", "start", "spent"
        ):
            self._spent[pk][start] = spent
        sums = BudgetHold.objects.filter(wanted).order_by().values_list("account_id", "start")
        for pk, start, held in sums.annotate(held=MoneySum("amount")):
            self._held[pk][start] = held

    def spent(self, account: BudgetAccount, window: BudgetWindow) -> Decimal:
        return _sum(self._spent[account.pk], window)

    def held(self, account: BudgetAccount, window: BudgetWindow) -> Decimal:
        return _sum(self._held[account.pk], window)

    def hold(self, account: int, start: datetime, amount: Decimal) -> None:
        """Take note of a new hold or, with less than zero, of one that is given back."""
        self._held[account][start] += amount

    def fits_again(
        self, budget: Budget, account: BudgetAccount, window: BudgetWindow, amount: Decimal
    ) -> datetime | None:
        """When ``amount`` would fit if nobody spent any more; ``None`` if never."""
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
                    return free_again(budget, start)
        return window.end


def _sum(amounts: dict[datetime, Decimal], window: BudgetWindow) -> Decimal:
    return sum((amount for start, amount in amounts.items() if window.counts(start)), _ZERO)
