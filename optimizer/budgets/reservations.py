"""Budgets before a call: who is under one, and the money that is held for a request."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Protocol

from analytics.budgets.claims import Charge, Claim, Payer, Refusal
from analytics.budgets.holding import Refusals
from analytics.budgets.workers import worker_heartbeat
from analytics.models import Budget
from optimizer.domain.request import ASSUMED_MAX_TOKENS, GatewayRequest
from optimizer.domain.result import BudgetExceeded
from providers.chat import Chat
from providers.completion import Usage, most_input_tokens
from providers.errors import CallNotAuthorized
from providers.pricing import PriceBook
from providers.resilience import Attempt
from routing.models import ModelOption

_WHO = {
    Budget.Scope.KEY: "key",
    Budget.Scope.USER: "user",
    Budget.Scope.TEAM: "team",
    Budget.Scope.PROJECT: "project",
}
_DOES_NOT_FIT = "what it may cost does not fit into a budget"
_UNPRICED = "its price is unknown, so no budget could be kept"


class Holder(Protocol):
    """Who can hold money."""

    async def hold(self, claim: Claim) -> Refusals: ...


class BudgetSource(Protocol):
    """Where budgets are read."""

    def budgets_version(self) -> object: ...

    def budgets_load(self) -> list[Budget]: ...


class Budgets:
    """One per process. ``refresh`` reads the database: not for the event loop."""

    def __init__(self, source: BudgetSource, holder: Holder, prices: PriceBook) -> None:
        self._source = source
        self._holder = holder
        self._prices = prices
        self._version: object = None
        self._budgets: list[Budget] | None = None
        self.any = True
        """Whether a budget could refuse a request. While budgets cannot be read one might."""
        self.worker = uuid.uuid4().hex

    def refresh(self) -> None:
        """Take over what has changed."""
        version = self._source.budgets_version()
        if version != self._version or self._budgets is None:
            self._budgets = self._source.budgets_load()
            self._version = version
            self.any = bool(self._budgets)

    def say_alive(self) -> None:
        """So that what this worker holds is not taken for lost. Writes to the database."""
        if self._budgets:
            worker_heartbeat(self.worker)

    @property
    def known(self) -> bool:
        """Whether they have been read: until then any request might be under one."""
        return self._budgets is not None

    def concern(self, request: GatewayRequest) -> bool:
        """Whether what ``request`` may cost must be held before it is called."""
        if not self._budgets:
            return self._budgets is None
        payer = payer_of(request)
        return any(_concerns(budget, payer) for budget in self._budgets)

    def reservation(self, request: GatewayRequest) -> Reservation | None:
        """What pays for a chat, where a budget concerns it."""
        if not self.concern(request):
            return None
        return self.reservation_for(
            request, most_input_tokens(request.chat), request.max_tokens * request.chat.n
        )

    def reservation_for(
        self, request: GatewayRequest, input_tokens: int, output_tokens: int
    ) -> Reservation:
        """What pays for a request of at most so many tokens."""
        asked = (request.request_id, request.asked_at, payer_of(request))
        return self._open(asked, input_tokens, output_tokens)

    def own_reservation(self, chat: Chat) -> Reservation | None:
        """What pays for a chat that nobody asked for but the service itself."""
        if not self.any:
            return None
        asked = (uuid.uuid4(), datetime.now(UTC), Payer())
        outputs = (chat.max_tokens or ASSUMED_MAX_TOKENS) * chat.n
        return self._open(asked, most_input_tokens(chat), outputs)

    def _open(
        self, asked: tuple[uuid.UUID, datetime, Payer], input_tokens: int, output_tokens: int
    ) -> Reservation:
        def worst(provider: str, model: str) -> Decimal | None:
            return self._prices.most(provider, model, input_tokens, output_tokens)

        def limited(provider: str, model: str) -> bool:
            return self._budgets is None or any(
                _concerns(budget, asked[2]) and _is_of(budget, provider, f"{provider}/{model}")
                for budget in self._budgets
            )

        charged = self._prices.charged
        return Reservation(self._holder, worst, charged, limited, *asked, self.worker)


@dataclass(slots=True)
class Reservation:
    """The money held for one request. It is given back once the request is recorded.

    ``worst`` is USD that a call of (provider, model) may cost, ``None`` where the
    price is unknown; ``charged`` what a call that used so much did; ``limited``
    whether any budget concerns a call of (provider, model).
    """

    holder: Holder
    worst: Callable[[str, str], Decimal | None]
    charged: Callable[[str, str, Usage | None], Decimal]
    limited: Callable[[str, str], bool]
    request_id: uuid.UUID
    asked_at: datetime
    payer: Payer
    worker: str
    _held: tuple[Charge, ...] = field(default=())

    async def hold(
        self, provider: str, model: str, attempts: Sequence[Attempt] = ()
    ) -> Sequence[Refusal]:
        """Hold enough for a call of the model beside what ``attempts`` cost; why not, if
        refused. Raises :class:`providers.errors.CallNotAuthorized` where its price is unknown, and
        :class:`analytics.ledger.ledger.BudgetsUnavailable`.
        """
        if not self._held and not self.limited(provider, model):
            return ()
        worst = self.worst(provider, model)
        if worst is None:
            raise CallNotAuthorized(provider, _UNPRICED)
        failed = (
            Charge(a.provider, a.model, cost)
            for a in attempts
            if (cost := self.charged(a.provider, a.model, a.usage))
        )
        charges = (*failed, Charge(provider, model, worst))
        if charges == self._held:
            return ()
        claim = Claim(
            self.request_id,
            self.asked_at,
            self.payer,
            charges,
            f"{provider}/{model}",
            self.worker,
            first=not self._held,
        )
        refusals = await self.holder.hold(claim)
        if not refusals:
            self._held = charges
        return refusals

    async def authorize(self, provider: str, model: str, attempts: Sequence[Attempt]) -> None:
        """Asked before each call: a fallback may cost more than the model before it.
        Raises :class:`providers.errors.CallNotAuthorized`.
        """
        if await self.hold(provider, model, attempts):
            raise CallNotAuthorized(provider, _DOES_NOT_FIT)

    def over_budget(
        self, options: Iterable[ModelOption], refusals: Sequence[Refusal] = ()
    ) -> dict[tuple[str, str], str]:
        """The models that are out for this request, each with the reason."""
        found = {}
        for option in options:
            if not self.limited(option.provider, option.model):
                continue
            worst = self.worst(option.provider, option.model)
            if worst is None:
                found[option.provider, option.model] = _UNPRICED
            elif any(_bars(refusal, option, worst) for refusal in refusals):
                found[option.provider, option.model] = _DOES_NOT_FIT
        return found

    def exceeded(self, refusals: Sequence[Refusal]) -> BudgetExceeded:
        """What to tell the client."""
        ends = [refusal.resets_at for refusal in refusals]
        known = [end for end in ends if end is not None]
        resets_at = max(known) if len(known) == len(ends) else None
        whose = " and ".join(sorted({_whose(refusal) for refusal in refusals}))
        left = f"What is left of {whose} does not cover what this request may cost"
        if resets_at is None:
            message = f"{left}, and never will: ask for fewer max_tokens."
        else:
            message = f"{left}. There is more at {resets_at:%Y-%m-%dT%H:%M:%SZ}."
        return BudgetExceeded(message, recorded_for=self.request_id, resets_at=resets_at)


def payer_of(request: GatewayRequest) -> Payer:
    client = request.client
    return Payer.of(
        key=client.key, user=request.user_id, tenant=client.tenant, project=client.project
    )


def must_refuse(refusals: Iterable[Refusal]) -> bool:
    """Whether no cheaper model is wanted: some budget of who asks refuses."""
    return any(r.at_limit == Budget.AtLimit.REFUSE and not r.of_models for r in refusals)


def _bars(refusal: Refusal, option: ModelOption, worst: Decimal) -> bool:
    return _is_of(refusal, option.provider, option.ref) and worst > refusal.available


def _is_of(limit: Budget | Refusal, provider: str, ref: str) -> bool:
    """Whether a limit of providers or models is of this one; any other is of all."""
    if not limit.subject:
        return True
    if limit.scope == Budget.Scope.PROVIDER:
        return limit.subject == provider
    return limit.scope != Budget.Scope.MODEL or limit.subject == ref


def _whose(refusal: Refusal) -> str:
    if refusal.of_models:
        return "the budgets of models"
    who = _WHO.get(Budget.Scope(refusal.scope))
    return f"this {who}'s budget" if who else "the budget"


def _concerns(budget: Budget, payer: Payer) -> bool:
    if budget.scope not in _WHO:
        return True
    mine = getattr(payer, budget.scope)
    # Which keys replaced which is known to the database alone.
    return bool(mine) and (
        not budget.subject or budget.scope == Budget.Scope.KEY or mine == budget.subject
    )
