"""Holds money for calls before they are made, and books what they cost.

Every change of an account's balance happens under the account's lock, so that no
two claims on it are decided at once: spent and held money together never passes
the limit, and a claim is refused only if it does not fit beside them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from analytics.budgets.claims import Claim, Cost, Draw, Refusal, draws, key_origins
from analytics.budgets.opening import budgets_load
from analytics.budgets.periods import window_at
from analytics.budgets.standing import Balances, Key, lock_accounts
from analytics.database.bulk_write import first_row
from analytics.models import Budget, BudgetAccount, BudgetHold, BudgetUsage
from analytics.money import MoneySum

Refusals = tuple[Refusal, ...]
"""The refusals of a claim; empty if the money is held."""


@transaction.atomic
def hold(claims: Sequence[Claim]) -> list[Refusals]:
    """Hold money for each claim in every budget it concerns, or in none of them.

    A claim replaces what was held for the same request. Return the refusals of
    each claim, empty where the money is held.
    """
    budgets = budgets_load()
    origins = key_origins(budgets)
    draws_by_claim = [list(draws(budgets, claim, origins)) for claim in claims]
    every_draw = [draw for claim_draws in draws_by_claim for draw in claim_draws]
    accounts = lock_accounts(draw.account for draw in every_draw)
    balances = Balances((accounts[draw.account], draw.window) for draw in every_draw)
    holds = _Holds(claims, accounts, balances)
    results = [
        holds.decide(claim, claim_draws)
        for claim, claim_draws in zip(claims, draws_by_claim, strict=True)
    ]
    holds.save()
    return results


@transaction.atomic
def has_left(claim: Claim) -> Refusals:
    """Return which budgets refuse ``claim``, without holding its money."""
    (refusals,) = hold([claim])
    BudgetHold.objects.filter(request_id=claim.request_id).delete()
    return refusals


class _Holds:
    """The holds of some requests while their claims are decided, one after the other."""

    def __init__(
        self, claims: Sequence[Claim], accounts: Mapping[Key, BudgetAccount], balances: Balances
    ) -> None:
        self._accounts = accounts
        self._balances = balances
        self._now = timezone.now()
        self._holds: dict[UUID, list[BudgetHold]] = defaultdict(list)
        repeated = [claim.request_id for claim in claims if not claim.first]
        self._before: list[BudgetHold] = (
            list(BudgetHold.objects.filter(request_id__in=repeated)) if repeated else []
        )
        for old_hold in self._before:
            self._holds[old_hold.request_id].append(old_hold)
        self._refused: list[tuple[BudgetAccount, datetime]] = []

    def decide(self, claim: Claim, claim_draws: Sequence[Draw]) -> Refusals:
        """Hold the money for ``claim`` if all its budgets have it; return those that refuse."""
        own = self._holds[claim.request_id]
        self._count(own, -1)
        refusals = tuple(refusal for draw in claim_draws if (refusal := self._refusal(draw)))
        if not refusals:
            self._holds[claim.request_id] = own = [
                self._hold(claim, draw) for draw in claim_draws if draw.amount
            ]
        self._count(own, 1)
        return refusals

    def _refusal(self, draw: Draw) -> Refusal | None:
        budget, account, window = draw.budget, self._accounts[draw.account], draw.window
        assert budget.limit is not None
        used = self._balances.spent(account, window) + self._balances.held(account, window)
        if draw.amount == 0 or used + draw.amount <= budget.limit:
            return None
        self._refused.append((account, window.start))
        available = max(budget.limit - used, Decimal(0))
        resets_at = self._balances.available_at(budget, account, window, draw.amount)
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
            api_key=claim.payer.key,
            user_id=claim.payer.user,
            tenant=claim.payer.tenant,
            project=claim.payer.project,
            session_id=claim.payer.session_id,
            endpoint=claim.endpoint,
            asked_at=claim.at,
            tokens_in=claim.tokens_in,
            tokens_out=claim.tokens_out,
            estimate=claim.estimate,
        )

    def _count(self, holds: Sequence[BudgetHold], sign: int) -> None:
        for entry in holds:
            self._balances.add_hold(entry.account_id, entry.start, sign * entry.amount)

    def save(self) -> None:
        """Write new holds, delete replaced ones and count refusals."""
        current = [entry for holds in self._holds.values() for entry in holds]
        current_keys = {(entry.request_id, entry.account_id) for entry in current}
        replaced = [h.pk for h in self._before if (h.request_id, h.account_id) not in current_keys]
        if replaced:
            BudgetHold.objects.filter(pk__in=replaced).delete()
        if new := [entry for entry in current if entry.pk is None]:
            BudgetHold.objects.bulk_create(
                new,
                update_conflicts=True,
                unique_fields=["request_id", "account"],
                update_fields=[
                    "start",
                    "amount",
                    "model",
                    "worker",
                    "made_at",
                    "tokens_in",
                    "tokens_out",
                    "estimate",
                ],
            )
        for account, start in self._refused:
            usage, _ = BudgetUsage.objects.get_or_create(account=account, start=start)
            usage.refused += 1
            usage.save(update_fields=["refused"])


def book(costs: Iterable[Cost]) -> None:
    """Add ``costs`` to the budgets' usage and release what was held for their requests.

    It runs in the transaction that writes the requests, after their rows are
    inserted: see :func:`analytics.budgets.opening.budget_open`.
    """
    if not _any_budgets():
        return
    costs = list(costs)
    budgets = {budget.pk: budget for budget in Budget.objects.all()}
    amounts_by_period = _amounts_by_period(list(budgets.values()), costs)
    accounts = lock_accounts(key for key, _ in amounts_by_period)
    if accounts:
        _add(
            budgets,
            {
                (accounts[key], start): amounts
                for (key, start), amounts in amounts_by_period.items()
            },
        )
    BudgetHold.objects.filter(request_id__in=[cost.request_id for cost in costs]).delete()


def release(requests: Iterable[UUID]) -> None:
    """Delete what is held for ``requests``, which ended and have no further cost."""
    BudgetHold.objects.filter(request_id__in=list(requests)).delete()


def _any_budgets() -> bool:
    """Return whether a budget exists; raw SQL, as every commit asks and the ORM costs more."""
    table = Budget._meta.db_table
    return first_row(f"SELECT 1 FROM {table} LIMIT 1") is not None  # noqa: S608 - ours


def _amounts_by_period(
    budgets: Sequence[Budget], costs: Sequence[Cost]
) -> dict[tuple[Key, datetime], list[Decimal]]:
    """Return the amounts (USD) to add to each account's periods, one for each cost."""
    origins = key_origins(budgets)
    amounts: dict[tuple[Key, datetime], list[Decimal]] = defaultdict(list)
    for cost in costs:
        for draw in draws(budgets, cost, origins) if cost.charges else ():
            amounts[draw.account, draw.window.start].append(draw.amount)
    return amounts


def _add(
    budgets: Mapping[int, Budget], costs: Mapping[tuple[BudgetAccount, datetime], list[Decimal]]
) -> None:
    rows = BudgetUsage.objects.filter(
        account__in={account.pk for account, _ in costs}, start__in={start for _, start in costs}
    )
    known = {(row.account_id, row.start): row for row in rows}
    # The rows carry no ids: the conflict to resolve is that of account and start.
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
            _check_soft_limit(budget, usage)


def _check_soft_limit(budget: Budget, usage: BudgetUsage) -> None:
    """Record when the soft limit was passed, once per period (or length of a rolling period)."""
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
