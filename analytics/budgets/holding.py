"""Holding money for calls that are to be made, and booking what they cost.

Whoever changes what an account stands at holds its lock, so that no two claims
are weighed at once: what is spent and held together never passes the limit, and
a claim is refused only if it does not fit beside what is spent and held.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db import connection, transaction
from django.utils import timezone

from analytics.budgets.claims import Claim, Cost, Draw, Refusal, draws, key_origins
from analytics.budgets.opening import budgets_load
from analytics.budgets.periods import window_at
from analytics.budgets.standing import Key, Standing, locked_accounts
from analytics.models import Budget, BudgetAccount, BudgetHold, BudgetUsage
from analytics.money import MoneySum

Granted = tuple[Refusal, ...]
"""Empty where the money is held."""


@transaction.atomic
def hold(claims: Sequence[Claim]) -> list[Granted]:
    """Hold money for each claim from every budget it concerns, or from none.

    A claim takes the place of what was held for the same request. Returns why
    each was refused, nothing where it was not.
    """
    budgets = budgets_load()
    origins = key_origins(budgets)
    drawn = [list(draws(budgets, claim, origins)) for claim in claims]
    accounts = locked_accounts(draw.account for found in drawn for draw in found)
    standing = Standing((accounts[draw.account], draw.window) for found in drawn for draw in found)
    holds = _Holds(claims, accounts, standing)
    results = [holds.weigh(claim, found) for claim, found in zip(claims, drawn, strict=True)]
    holds.save()
    return results


class _Holds:
    """The holds of some requests while their claims are weighed, one after the other."""

    def __init__(
        self, claims: Sequence[Claim], accounts: Mapping[Key, BudgetAccount], standing: Standing
    ) -> None:
        self._accounts = accounts
        self._standing = standing
        self._now = timezone.now()
        self._held: dict[UUID, list[BudgetHold]] = defaultdict(list)
        again = [claim.request_id for claim in claims if not claim.first]
        self._before: list[BudgetHold] = (
            list(BudgetHold.objects.filter(request_id__in=again)) if again else []
        )
        for held in self._before:
            self._held[held.request_id].append(held)
        self._refused: list[tuple[BudgetAccount, datetime]] = []

    def weigh(self, claim: Claim, drawn: Sequence[Draw]) -> Granted:
        own = self._held[claim.request_id]
        self._count(own, -1)
        refusals = tuple(found for draw in drawn if (found := self._refusal(draw)))
        if not refusals:
            self._held[claim.request_id] = own = [
                self._hold(claim, draw) for draw in drawn if draw.amount
            ]
        self._count(own, 1)
        return refusals

    def _refusal(self, draw: Draw) -> Refusal | None:
        budget, account, window = draw.budget, self._accounts[draw.account], draw.window
        assert budget.limit is not None
        used = self._standing.spent(account, window) + self._standing.held(account, window)
        if draw.amount == 0 or used + draw.amount <= budget.limit:
            return None
        self._refused.append((account, window.start))
        available = max(budget.limit - used, Decimal(0))
        resets_at = self._standing.fits_again(budget, account, window, draw.amount)
        return Refusal(
            budget.name, budget.scope, draw.subject, budget.at_limit, available, resets_at
        )

    def _hold(self, claim: Claim, draw: Draw) -> BudgetHold:
        return BudgetHold(
            request_id=claim.request_id,
            account=self._accounts[draw.account],
            start=draw.window.start,
            amount=draw.amount,
            model=claim.model,
            worker=claim.worker,
            made_at=self._now,
        )

    def _count(self, holds: Sequence[BudgetHold], sign: int) -> None:
        for held in holds:
            self._standing.hold(held.account_id, held.start, sign * held.amount)

    def save(self) -> None:
        now = [held for holds in self._held.values() for held in holds]
        kept = {(held.request_id, held.account_id) for held in now}
        gone = [h.pk for h in self._before if (h.request_id, h.account_id) not in kept]
        if gone:
            BudgetHold.objects.filter(pk__in=gone).delete()
        if new := [held for held in now if held.pk is None]:
            BudgetHold.objects.bulk_create(
                new,
                update_conflicts=True,
                unique_fields=["request_id", "account"],
                update_fields=["start", "amount", "model", "worker", "made_at"],
            )
        for account, start in self._refused:
            usage, _ = BudgetUsage.objects.get_or_create(account=account, start=start)
            usage.refused += 1
            usage.save(update_fields=["refused"])


def book(costs: Iterable[Cost]) -> None:
    """Count ``costs`` and give back what was held for their requests.

    Runs in the transaction that writes them, after the rows are inserted: see
    :func:`analytics.budgets.opening.budget_open`.
    """
    if not _any_budgets():
        return
    costs = list(costs)
    budgets = {budget.pk: budget for budget in Budget.objects.all()}
    drawn = _drawn(list(budgets.values()), costs)
    accounts = locked_accounts(key for key, _ in drawn)
    if accounts:
        _add(budgets, {(accounts[key], start): amounts for (key, start), amounts in drawn.items()})
    BudgetHold.objects.filter(request_id__in=[cost.request_id for cost in costs]).delete()


def _any_budgets() -> bool:
    """Asked with every commit, so without the ORM's making of a statement."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT 1 FROM {Budget._meta.db_table} LIMIT 1")  # noqa: S608 - ours
        return cursor.fetchone() is not None


def _drawn(
    budgets: Sequence[Budget], costs: Sequence[Cost]
) -> dict[tuple[Key, datetime], list[Decimal]]:
    """What each account's periods are charged, cost by cost."""
    origins = key_origins(budgets)
    found: dict[tuple[Key, datetime], list[Decimal]] = defaultdict(list)
    for cost in costs:
        for draw in draws(budgets, cost, origins) if cost.charges else ():
            found[draw.account, draw.window.start].append(draw.amount)
    return found


def _add(
    budgets: Mapping[int, Budget], costs: Mapping[tuple[BudgetAccount, datetime], list[Decimal]]
) -> None:
    rows = BudgetUsage.objects.filter(
        account__in={account.pk for account, _ in costs}, start__in={start for _, start in costs}
    )
    known = {(row.account_id, row.start): row for row in rows}
    # Without their ids: the conflict to be solved is that of account and start.
    changed = [
        BudgetUsage(
            account=account,
            start=start,
            spent=sum(amounts, row.spent if row else Decimal(0)),
            requests=(row.requests if row else 0) + len(amounts),
        )
        for (account, start), amounts in costs.items()
        for row in (known.get((account.pk, start)),)
    ]
    BudgetUsage.objects.bulk_create(
        changed,
        update_conflicts=True,
        unique_fields=["account", "start"],
        update_fields=["spent", "requests"],
    )
    for usage in changed:
        budget, row = budgets[usage.account.budget_id], known.get((usage.account_id, usage.start))
        if budget.soft_limit is not None and (row is None or row.soft_passed_at is None):
            _look_at_soft_limit(budget, usage)


def _look_at_soft_limit(budget: Budget, usage: BudgetUsage) -> None:
    """Take down when it was passed, once a period: of a rolling one, once in its length."""
    assert budget.soft_limit is not None
    window = window_at(budget, usage.start)
    rows = BudgetUsage.objects.filter(account=usage.account)
    spent = usage.spent
    if window.rolling:
        spent = rows.filter(window.rows).aggregate(all=MoneySum("spent"))["all"]
    if spent <= budget.soft_limit:
        return
    if not rows.filter(start__gte=window.since, soft_passed_at__isnull=False).exists():
        rows.filter(start=usage.start).update(soft_passed_at=timezone.now())
