"""What is claimed of budgets: by whom, for which models, how much; and what came of it."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from analytics.access.keys import team_of
from analytics.budgets.periods import BudgetWindow, window_at
from analytics.models import ApiKey, Budget, RequestRecord


class Charge(NamedTuple):
    """USD for calls of one model."""

    provider: str
    model: str
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Payer:
    """Who asks: the beginning of their key, their user, team and project; empty where unknown."""

    key: str = ""
    user: str = ""
    team: str = ""
    project: str = ""

    @classmethod
    def of(cls, *, key: str, user: str, tenant: str, project: str) -> Payer:
        return cls(key, user, team_of(tenant), project)

    @classmethod
    def of_record(cls, record: RequestRecord) -> Payer:
        return cls.of(
            key=record.api_key, user=record.user_id, tenant=record.tenant, project=record.project
        )


@dataclass(frozen=True, slots=True)
class Claim:
    """A request that may come to ``charges``: what was charged so far and the worst that the
    call of ``model`` may add. ``at`` is when it was asked, which decides its period;
    ``first`` whether nothing was held for it before.
    """

    request_id: uuid.UUID
    at: datetime
    payer: Payer
    charges: tuple[Charge, ...]
    model: str
    worker: str
    first: bool = False


@dataclass(frozen=True, slots=True)
class Draw:
    """What a claim or a cost takes from one account, in ``window``."""

    budget: Budget
    subject: str
    amount: Decimal
    window: BudgetWindow

    @property
    def account(self) -> tuple[int, str]:
        return self.budget.pk, self.subject


@dataclass(frozen=True, slots=True)
class Cost:
    """What came of a request: what it was charged, perhaps nothing."""

    request_id: uuid.UUID
    at: datetime
    payer: Payer
    charges: tuple[Charge, ...]

    @classmethod
    def of_record(cls, record: RequestRecord) -> Cost:
        return cls(record.pk, record.created_at, Payer.of_record(record), charges_of(record))


class Refusal(NamedTuple):
    """Of one budget: ``available`` is what could be had of it for all models alike or, of a
    provider's or model's budget, for that alone. ``resets_at`` is ``None`` where waiting is no
    help, as the limit is smaller than the claim.
    """

    budget: str
    scope: str
    subject: str
    at_limit: str
    available: Decimal
    resets_at: datetime | None

    @property
    def of_models(self) -> bool:
        """Whether only some models are out of it, whoever asks."""
        return self.scope in (Budget.Scope.PROVIDER, Budget.Scope.MODEL)


def charges_of(record: RequestRecord) -> tuple[Charge, ...]:
    """What was charged for a request, model by model: its answer and its failed attempts."""
    found = [
        Charge(attempt["provider"], attempt["model"], Decimal(str(attempt["cost"])))
        for attempt in record.attempts
    ]
    if record.cost is not None:
        answer = record.cost - record.failed_cost
        found.append(Charge(record.provider, record.model, answer))
    return tuple(charge for charge in found if charge.amount)


def draws(
    budgets: Iterable[Budget], asked: Claim | Cost, origins: Mapping[str, str]
) -> Iterator[Draw]:
    """What ``asked`` takes from the accounts of ``budgets``; ``origins`` maps the beginning of
    a key to that of the first it replaced.
    """
    by_scope = _sums(asked.payer, asked.charges, origins)
    for budget in budgets:
        window = window_at(budget, asked.at)
        for subject, amount in by_scope[budget.scope].items():
            if not budget.subject or subject == _wanted(budget, origins):
                yield Draw(budget, subject, amount, window)


def key_origins(budgets: Iterable[Budget]) -> dict[str, str]:
    """Which keys replaced which; read only where a budget is of keys."""
    if not any(budget.scope == Budget.Scope.KEY for budget in budgets):
        return {}
    return dict(ApiKey.objects.exclude(origin="").values_list("prefix", "origin"))


def _wanted(budget: Budget, origins: Mapping[str, str]) -> str:
    if budget.scope == Budget.Scope.KEY:
        return origins.get(budget.subject, budget.subject)
    return budget.subject


def _sums(
    payer: Payer, charges: Sequence[Charge], origins: Mapping[str, str]
) -> dict[str, dict[str, Decimal]]:
    total = sum((charge.amount for charge in charges), Decimal(0))
    by_provider: dict[str, Decimal] = defaultdict(Decimal)
    by_model: dict[str, Decimal] = defaultdict(Decimal)
    for charge in charges:
        by_provider[charge.provider] += charge.amount
        by_model[f"{charge.provider}/{charge.model}"] += charge.amount
    whose = {
        Budget.Scope.KEY: origins.get(payer.key, payer.key),
        Budget.Scope.USER: payer.user,
        Budget.Scope.TEAM: payer.team,
        Budget.Scope.PROJECT: payer.project,
    }
    return {
        Budget.Scope.EVERYTHING: {"": total},
        **{scope: {name: total} if name else {} for scope, name in whose.items()},
        Budget.Scope.PROVIDER: by_provider,
        Budget.Scope.MODEL: by_model,
    }
