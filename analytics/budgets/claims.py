"""Claims on budgets before a call, the costs after it, and the reasons for a refusal."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from analytics.access.keys import team_of, tenant_of
from analytics.budgets.periods import BudgetWindow, window_at
from analytics.models import ApiKey, Budget, RequestRecord
from routing.dated_names import undated

_LONGEST_SUBJECT, _LONGEST_ID = 200, 128


class Charge(NamedTuple):
    """An amount in USD for calls of one model."""

    provider: str
    model: str
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Payer:
    """The client that pays: beginning of its key, user, team, project, session; empty if unknown.

    ``tenant`` is what the team was read from. ``session`` begins with the tenant, if there is
    one: clients choose the ids of sessions, and two tenants may choose the same.
    """

    key: str = ""
    user: str = ""
    team: str = ""
    project: str = ""
    tenant: str = ""
    session: str = ""

    @classmethod
    def of(cls, *, key: str, user: str, tenant: str, project: str, session: str = "") -> Payer:
        """Return a payer, with the team that the tenant stands for."""
        if tenant and session:
            session = f"{tenant}/{session}"[:_LONGEST_SUBJECT]
        return cls(key, user, team_of(tenant), project, tenant, session)

    @classmethod
    def of_key(cls, key: ApiKey) -> Payer:
        """Return the payer of what is asked with ``key``, outside of any session."""
        project = key.project.name if key.project else ""
        return cls.of(key=key.prefix, user=key.user, tenant=tenant_of(key), project=project)

    @property
    def session_id(self) -> str:
        """Return the session's id as the client sent it."""
        return self.session.removeprefix(f"{self.tenant}/")[:_LONGEST_ID]

    @classmethod
    def of_record(cls, record: RequestRecord) -> Payer:
        """Return the payer of a recorded request."""
        # The rows of a batch have the batch for a session.
        batch = record.endpoint == RequestRecord.Endpoint.BATCHES
        return cls.of(
            key=record.api_key,
            user=record.user_id,
            tenant=record.tenant,
            project=record.project,
            session="" if batch else record.session_id,
        )


@dataclass(frozen=True, slots=True)
class Claim:
    """The most that a request may cost, claimed before a call of ``model``.

    ``charges`` are what was charged so far and the worst case of the call. ``at``
    is when the request arrived, which decides its period. ``first`` is true if
    nothing was held for the request before. ``tokens_in`` and ``tokens_out`` estimate the
    call: its input, and the output that it allows; ``estimate`` is what they and the charges
    so far cost.
    """

    request_id: uuid.UUID
    at: datetime
    payer: Payer
    charges: tuple[Charge, ...]
    model: str
    worker: str
    first: bool = False
    endpoint: str = ""
    tokens_in: int = 0
    tokens_out: int = 0
    estimate: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Release:
    """The end of a request that has no cost: what was held for it is given back."""

    request_id: uuid.UUID


@dataclass(frozen=True, slots=True)
class Draw:
    """The amount in USD that a claim or a cost takes from one account, in ``window``."""

    budget: Budget
    subject: str
    amount: Decimal
    window: BudgetWindow

    @property
    def account(self) -> tuple[int, str]:
        """Return the account's key: the budget's id and the subject."""
        return self.budget.pk, self.subject


@dataclass(frozen=True, slots=True)
class Cost:
    """What a finished request was charged; the charges may be empty."""

    request_id: uuid.UUID
    at: datetime
    payer: Payer
    charges: tuple[Charge, ...]

    @classmethod
    def of_record(cls, record: RequestRecord) -> Cost:
        """Return the cost of a recorded request."""
        return cls(record.pk, record.created_at, Payer.of_record(record), charges_of(record))


class Refusal(NamedTuple):
    """A refusal by one budget.

    ``available`` is the amount left in USD: for all models or, in the budget of a
    provider or model, for that provider or model alone. ``resets_at`` is ``None``
    if waiting does not help, because the limit is smaller than the claim.
    """

    budget: str
    scope: str
    subject: str
    at_limit: str
    available: Decimal
    resets_at: datetime | None

    @property
    def of_models(self) -> bool:
        """Return whether the budget refuses only some models, to every client."""
        return self.scope in (Budget.Scope.PROVIDER, Budget.Scope.MODEL)


def charges_of(record: RequestRecord) -> tuple[Charge, ...]:
    """Return what a request was charged per model: for its failed attempts and its answer."""
    charges = [
        Charge(attempt["provider"], attempt["model"], Decimal(str(attempt["cost"])))
        for attempt in record.attempts
    ]
    if record.cost is not None:
        answer = record.cost - record.failed_cost
        charges.append(Charge(record.provider, record.model, answer))
    return tuple(charge for charge in charges if charge.amount)


def draws(
    budgets: Iterable[Budget], entry: Claim | Cost, origins: Mapping[str, str]
) -> Iterator[Draw]:
    """Yield what a claim or a cost takes from the accounts of ``budgets``.

    ``origins`` maps the beginning of a key to that of the first key it replaced.
    """
    by_scope = _sums(entry.payer, entry.charges, origins)
    for budget in budgets:
        window = window_at(budget, entry.at)
        if budget.scope == Budget.Scope.MODEL and budget.subject:
            # A budget of a model counts its dated editions, too.
            amounts = [
                c.amount for c in entry.charges if of_model(budget.subject, c.provider, c.model)
            ]
            if amounts:
                yield Draw(budget, budget.subject, sum(amounts, Decimal(0)), window)
            continue
        for subject, amount in by_scope[budget.scope].items():
            if not budget.subject or subject == _subject(budget, origins):
                yield Draw(budget, subject, amount, window)


def of_model(subject: str, provider: str, model: str) -> bool:
    """Return whether ``subject`` ("provider/model") is the model, or the one it is dated from."""
    return subject in (f"{provider}/{model}", f"{provider}/{undated(model)}")


def key_origins(budgets: Iterable[Budget]) -> dict[str, str]:
    """Return which key replaced which; empty, without a query, if no budget is for keys."""
    if not any(budget.scope == Budget.Scope.KEY for budget in budgets):
        return {}
    return dict(ApiKey.objects.exclude(origin="").values_list("prefix", "origin"))


def _subject(budget: Budget, origins: Mapping[str, str]) -> str:
    """Return the subject of ``budget``; for a key, the first key that it replaced."""
    if budget.scope == Budget.Scope.KEY:
        return origins.get(budget.subject, budget.subject)
    return budget.subject


def _sums(
    payer: Payer, charges: Sequence[Charge], origins: Mapping[str, str]
) -> dict[str, dict[str, Decimal]]:
    """Return USD by scope and subject."""
    total = sum((charge.amount for charge in charges), Decimal(0))
    by_provider: dict[str, Decimal] = defaultdict(Decimal)
    by_model: dict[str, Decimal] = defaultdict(Decimal)
    for charge in charges:
        by_provider[charge.provider] += charge.amount
        by_model[f"{charge.provider}/{undated(charge.model)}"] += charge.amount
    payers = {
        Budget.Scope.KEY: origins.get(payer.key, payer.key),
        Budget.Scope.USER: payer.user,
        Budget.Scope.TEAM: payer.team,
        Budget.Scope.PROJECT: payer.project,
        Budget.Scope.SESSION: payer.session,
    }
    return {
        Budget.Scope.EVERYTHING: {"": total},
        **{scope: {name: total} if name else {} for scope, name in payers.items()},
        Budget.Scope.PROVIDER: by_provider,
        Budget.Scope.MODEL: by_model,
    }
