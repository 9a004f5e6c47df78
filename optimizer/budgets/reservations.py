"""Budgets before a call: which budgets concern a request, and the money held for it."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from analytics.budgets.begun_calls import BegunCalls, CallProgress
from analytics.budgets.claims import Charge, Claim, Payer, Refusal, of_model
from analytics.budgets.opening import budgets_load, budgets_version
from analytics.budgets.workers import worker_heartbeat
from analytics.ledger.ledger import Ledger
from analytics.models import Budget
from optimizer.budgets.most_cost import most_cost, reads_whatever_is_there
from optimizer.domain.client import Client
from optimizer.domain.request import ASSUMED_MAX_TOKENS, GatewayRequest
from optimizer.domain.result import BudgetExceeded, UnknownInputRefused
from optimizer.shared.snapshot import Snapshot
from providers.chat import Chat
from providers.completion import Usage, charged_input, most_input_tokens
from providers.cost_bounds import CostBound, cost_bound, embedded_bound
from providers.errors import CallNotAuthorized
from providers.pricing import PriceBook
from providers.resilience import Attempt
from providers.specialised.bounds import Used
from providers.token_density import TokenDensity
from providers.units import Units
from routing.models import ModelOption, ModelRef

_WHO = {
    Budget.Scope.KEY: "key",
    Budget.Scope.USER: "user",
    Budget.Scope.TEAM: "team",
    Budget.Scope.PROJECT: "project",
    Budget.Scope.SESSION: "session",
}
_ZERO = Decimal(0)
_DOES_NOT_FIT = "what it may cost does not fit into a budget"
_FETCHED = (("messages", "an image by its address"),)
_OF_UNKNOWN_SIZE = (
    "a budget applies, and the size of an image behind an address is not known before the call"
)
_UNPRICED = "its price is unknown, so no budget can be enforced"
# A provider's error begins with its name.
_NOT_CALLED = "was not called: {}"


class Budgets:
    """The budgets in memory, one instance per process.

    Where the size of a request's input cannot be known, the model's context window is held, or
    the request is refused with ``refuse_unknown_input``. ``calls`` is the folder for the proof
    of which calls began. ``refresh`` reads the database, so do not call it on the event loop.
    """

    def __init__(
        self,
        ledger: Ledger,
        prices: PriceBook,
        *,
        calls: Path,
        refuse_unknown_input: bool = False,
        density: TokenDensity | None = None,
    ) -> None:
        self._ledger = ledger
        self._density = density or TokenDensity()
        self._prices = prices
        self._refuse_unknown_input = refuse_unknown_input
        self._budgets = Snapshot(budgets_load, budgets_version)
        self.any = True
        """Whether a budget could refuse a request; true as long as budgets have not been read."""
        self.worker = uuid.uuid4().hex
        self.in_progress: WeakValueDictionary[uuid.UUID, Reservation] = WeakValueDictionary()
        """The reservations of the requests that this worker is working on."""
        self.begun = BegunCalls(calls, self.worker)

    def refresh(self) -> None:
        """Read the budgets if they have changed."""
        if self._budgets.refresh():
            self.any = bool(self._budgets.value)

    def write_heartbeat(self) -> None:
        """Write to the database that this worker is alive, so that its holds are not lost."""
        if self._budgets.value:
            worker_heartbeat(self.worker)

    @property
    def known(self) -> bool:
        """Return whether the budgets have been read: until then any request may be under one."""
        return self._budgets.value is not None

    def concern(self, request: GatewayRequest) -> bool:
        """Return whether money must be held for ``request`` before a model is called."""
        budgets = self._budgets.value
        if not budgets:
            return budgets is None
        return self.concern_payer(payer_of(request))

    def concern_payer(self, payer: Payer) -> bool:
        """Return whether money must be held for a request that ``payer`` pays for."""
        budgets = self._budgets.value
        if not budgets:
            return budgets is None
        return any(_concerns(budget, payer) for budget in budgets)

    def most_in_batch(
        self, provider: str, model: str, input_tokens: int, bound: CostBound
    ) -> Decimal | None:
        """Return the most that one request of a batch may cost, ``None`` without a price.

        Raises :class:`optimizer.domain.result.UnknownInputRefused`.
        """
        unknown = bound.unknown
        if bound.fetched and reads_whatever_is_there(provider):
            unknown += _FETCHED
        if unknown and self._refuse_unknown_input:
            raise UnknownInputRefused(unknown)
        return most_cost(self._prices, provider, model, input_tokens, bound, "batch")

    def reservation(self, request: GatewayRequest) -> Reservation | None:
        """Return the reservation for a chat, ``None`` if no budget concerns it.

        Raises :class:`optimizer.domain.result.UnknownInputRefused`.
        """
        if not self.concern(request):
            return None
        bound = cost_bound(request.chat, request.max_tokens)
        if bound.unknown and self._refuse_unknown_input:
            raise UnknownInputRefused(bound.unknown)
        origin = _Origin(request.request_id, request.asked_at, payer_of(request), request.endpoint)
        reservation = self._open(
            origin, most_input_tokens(request.chat), charged_input(request.chat), bound
        )
        reservation.claimed = request.held
        return reservation

    def reservation_for(
        self, request: GatewayRequest, body: Mapping[str, Any], input_tokens: int, counted: int
    ) -> Reservation:
        """Return the reservation for a request without output, the embeddings of ``body``.

        Its input has at most ``input_tokens`` beside what has no known size, and is estimated
        at ``counted``. Raises :class:`optimizer.domain.result.UnknownInputRefused`.
        """
        bound = embedded_bound(body)
        if bound.unknown and self._refuse_unknown_input:
            raise UnknownInputRefused(bound.unknown)
        origin = _Origin(request.request_id, request.asked_at, payer_of(request), request.endpoint)
        return self._open(origin, input_tokens, counted, bound)

    def specialised_reservation(
        self, request: GatewayRequest, most: Used, expected: Used
    ) -> Reservation:
        """Return the reservation for a request of a specialised model.

        ``most`` is the most that it may use, ``expected`` about what it will.
        """
        bound = CostBound(most.output_tokens, units=most.units)
        origin = _Origin(request.request_id, request.asked_at, payer_of(request), request.endpoint)
        reservation = self._open(origin, most.input_tokens, expected.input_tokens, bound)
        reservation.expected = expected[:2]
        reservation.units = expected.units
        return reservation

    @staticmethod
    def payer_of_client(client: Client) -> Payer:
        """Return who pays for a request that names no user of its own."""
        return Payer.of(
            key=client.key, user=client.user, tenant=client.tenant, project=client.project
        )

    @staticmethod
    def exceeded(
        refusals: Sequence[Refusal], request_id: uuid.UUID, amount: Decimal | None = None
    ) -> BudgetExceeded:
        """Return the error for a batch that may cost ``amount``, ``None`` if nothing is left."""
        resets = [refusal.resets_at for refusal in refusals]
        known = [moment for moment in resets if moment is not None]
        resets_at = max(known) if len(known) == len(resets) else None
        budgets = " and ".join(sorted({_whose(refusal) for refusal in refusals}))
        message = f"Nothing is left of {budgets}."
        if amount is not None:
            message = f"What is left of {budgets} does not cover what this batch may cost."
        return BudgetExceeded(message, recorded_for=request_id, resets_at=resets_at)

    def own_reservation(self, chat: Chat) -> Reservation | None:
        """Return the reservation for a chat of the service itself, ``None`` without budgets."""
        if not self.any:
            return None
        origin = _Origin(uuid.uuid4(), datetime.now(UTC), Payer())
        bound = cost_bound(chat, chat.max_tokens or ASSUMED_MAX_TOKENS)
        return self._open(origin, most_input_tokens(chat), charged_input(chat), bound)

    def _open(
        self, origin: _Origin, input_tokens: int, counted: int, bound: CostBound
    ) -> Reservation:

        def worst(provider: str, model: str) -> Decimal | None:
            return most_cost(self._prices, provider, model, input_tokens, bound)

        def limited(provider: str, model: str) -> bool:
            budgets = self._budgets.value
            return budgets is None or any(
                _concerns(budget, origin.payer) and _is_of(budget, provider, model)
                for budget in budgets
            )

        reservation = Reservation(
            self._ledger,
            worst,
            self._prices.charged,
            limited,
            origin,
            (counted, bound.output_tokens),
            self.begun,
            self._density,
            bound.unknown,
            refuses_addresses=bool(bound.fetched) and self._refuse_unknown_input,
        )
        self.in_progress[origin.request_id] = reservation
        return reservation


@dataclass(frozen=True, slots=True)
class _Origin:
    """The request that money is held for, when it arrived and who pays."""

    request_id: uuid.UUID
    asked_at: datetime
    payer: Payer
    endpoint: str = ""


@dataclass(slots=True)
class _BegunCall:
    """A call whose proof is the record ``number``.

    ``cost`` is that of the request without the answer, ``per_token`` that of each token of the
    answer, in USD. ``times`` are the tokens for each estimated one.
    """

    number: int
    provider: str
    model: str
    tokens_in: int
    cost: Decimal
    times: float
    per_token: Decimal | None = None


@dataclass(slots=True, weakref_slot=True)
class Reservation:
    """The money held for one request. It is released once the request is recorded.

    It belongs to the task that holds the money, or to the one that it is handed to; money that
    is held for a task that has ended belongs to nobody (:mod:`optimizer.budgets.watchdog`).

    ``worst`` returns the most that a call of (provider, model) may cost in USD, ``None`` if
    the price is unknown. ``charged`` returns what a call cost, by its usage. ``limited``
    returns whether any budget concerns a call of (provider, model). ``expected`` are the
    estimated tokens of the input, and those that the output may have.
    """

    ledger: Ledger
    worst: Callable[[str, str], Decimal | None]
    charged: Callable[[str, str, Usage | None], Decimal]
    limited: Callable[[str, str], bool]
    origin: _Origin
    expected: tuple[int, int]
    begun: BegunCalls
    density: TokenDensity
    unknown: tuple[tuple[str, str], ...] = ()
    """The fields whose input has no known size, each with what it holds."""
    refuses_addresses: bool = False
    """Whether no provider may read an image by its address that reads whatever is there."""
    units: Units | None = None
    """What is expected to be billed by other units than tokens."""
    claimed: bool = field(default=False, init=False)
    """Whether money was asked for, so that some may be held even if the asking was cancelled."""
    streamed: bool = field(default=False, init=False)
    """Whether the answer comes as a stream, which costs as much as has arrived of it."""
    _call: _BegunCall | None = field(default=None, init=False)
    _held: tuple[Charge, ...] = field(default=(), init=False)
    _beside: tuple[Charge, ...] = field(default=(), init=False)
    _failed: Decimal = field(default=_ZERO, init=False)
    _owner: asyncio.Task[Any] | None = field(default=None, init=False)

    @property
    def request_id(self) -> uuid.UUID:
        """Return the request's id."""
        return self.origin.request_id

    @property
    def asked_at(self) -> datetime:
        """Return when the request arrived."""
        return self.origin.asked_at

    @property
    def owned(self) -> bool:
        """Return whether a task that is not done yet will settle what is held."""
        return self._owner is not None and not self._owner.done()

    def hand_to(self, task: asyncio.Task[Any]) -> None:
        """Leave it to ``task`` to settle what is held."""
        self._owner = task

    def keep_beside(self, charges: Sequence[Charge]) -> None:
        """Hold ``charges`` (USD), for calls that may follow, beside what the next call may cost."""
        self._beside = tuple(charges)

    async def hold(
        self, provider: str, model: str, attempts: Sequence[Attempt] = ()
    ) -> Sequence[Refusal]:
        """Hold enough for a call of the model and for what ``attempts`` cost.

        Returns the refusals, none if the money is held. Raises
        :class:`providers.errors.CallNotAuthorized` if the model's price is unknown, and
        :class:`analytics.ledger.ledger.BudgetsUnavailable`.
        """
        if not self._held and not self._beside and not self.limited(provider, model):
            return ()
        if self.refuses_addresses and reads_whatever_is_there(provider):
            raise CallNotAuthorized(provider, _NOT_CALLED.format(_OF_UNKNOWN_SIZE))
        worst = self.worst(provider, model)
        if worst is None:
            raise CallNotAuthorized(provider, _NOT_CALLED.format(_UNPRICED))
        failed = [
            Charge(a.provider, a.model, cost)
            for a in attempts
            if (cost := self.charged(a.provider, a.model, a.usage))
        ]
        charges = (*failed, *self._beside, Charge(provider, model, worst))
        if charges == self._held:
            return ()
        claim = Claim(
            self.origin.request_id,
            self.origin.asked_at,
            self.origin.payer,
            charges,
            f"{provider}/{model}",
            self.begun.worker,
            first=not self.claimed,
            endpoint=self.origin.endpoint,
            tokens_in=self.expected[0],
            tokens_out=self.expected[1],
            estimate=self._estimate(provider, model, failed),
        )
        self.begun.open()
        self.claimed = True
        self._owner = asyncio.current_task()
        refusals = await self.ledger.hold(claim)
        if not refusals:
            self._held = charges
            self._failed = sum((charge.amount for charge in failed), _ZERO)
        return refusals

    def _estimate(self, provider: str, model: str, failed: Sequence[Charge]) -> Decimal:
        usage = Usage(*self.expected, estimated=True, units=self.units)
        call = self.charged(provider, model, usage)
        return sum((charge.amount for charge in failed), call)

    async def authorize(self, provider: str, model: str, attempts: Sequence[Attempt]) -> None:
        """Hold the money for a call, or raise :class:`providers.errors.CallNotAuthorized`.

        It is called before each call: a fallback may cost more than the model before it.
        """
        if await self.hold(provider, model, attempts):
            raise CallNotAuthorized(provider, _NOT_CALLED.format(_DOES_NOT_FIT))
        if self._held:
            self._begin(provider, model)

    def _begin(self, provider: str, model: str) -> None:
        """Write the proof that a call is about to begin."""
        times = self.density.of(provider, model)
        tokens_in, allowed = round(self.expected[0] * times), self.expected[1]
        begun = Usage(tokens_in, 0, estimated=True, units=self.units)
        cost = self._failed + self.charged(provider, model, begun)
        nothing = 0 if self.streamed or not allowed else None
        number = self.begun.add(self.request_id, CallProgress(tokens_in, nothing, cost))
        self._call = _BegunCall(number, provider, model, tokens_in, cost, times)

    def note_output(self, tokens: int) -> None:
        """Write to the proof of the call that so many tokens of its answer, as estimated, came."""
        call = self._call
        if call is None:
            return
        if call.per_token is None:
            call.per_token = self._per_token(call)
        tokens = round(tokens * call.times)
        cost = call.cost + tokens * call.per_token
        progress = CallProgress(call.tokens_in, tokens, cost)
        self.begun.note(call.number, self.request_id, progress)

    def _per_token(self, call: _BegunCall) -> Decimal:
        """Return what a token of the answer costs, in USD."""
        tokens_in, many = self.expected[0], self.expected[1] or 1
        whole, empty = (
            self.charged(call.provider, call.model, Usage(tokens_in, tokens_out, estimated=True))
            for tokens_out in (many, 0)
        )
        return (whole - empty) / many

    def note_answer(self, usage: Usage, cost: Decimal | None) -> None:
        """Write to the proof of the call that its answer has arrived, and what it cost in USD."""
        if self._call is not None and cost is not None:
            progress = CallProgress(usage.total_input_tokens, usage.total_output_tokens, cost)
            self.begun.note(self._call.number, self.request_id, progress)

    async def release(self) -> None:
        """Give back what is held, after a request that ended without a further cost."""
        if self.claimed:
            await self.ledger.release(self.origin.request_id)

    def over_budget(
        self, options: Iterable[ModelOption], refusals: Sequence[Refusal] = ()
    ) -> dict[ModelRef, str]:
        """Return the models that this request may not use, each with the reason.

        Raises :class:`optimizer.domain.result.UnknownInputRefused` if no model is left because
        none may read an image by its address.
        """
        reasons: dict[ModelRef, str] = {}
        options = list(options)
        for option in options:
            if not self.limited(option.provider, option.model):
                continue
            if self.refuses_addresses and reads_whatever_is_there(option.provider):
                reasons[option.ref] = _OF_UNKNOWN_SIZE
                continue
            worst = self.worst(option.provider, option.model)
            if worst is None:
                reasons[option.ref] = _UNPRICED
            elif any(_bars(refusal, option, worst) for refusal in refusals):
                reasons[option.ref] = _DOES_NOT_FIT
        if options and all(reasons.get(option.ref) == _OF_UNKNOWN_SIZE for option in options):
            raise UnknownInputRefused(_FETCHED)
        return reasons

    def exceeded(self, refusals: Sequence[Refusal]) -> BudgetExceeded:
        """Return the error that tells the client which budgets refuse, and when they reset."""
        resets = [refusal.resets_at for refusal in refusals]
        known = [moment for moment in resets if moment is not None]
        resets_at = max(known) if len(known) == len(resets) else None
        budgets = " and ".join(sorted({_whose(refusal) for refusal in refusals}))
        reason = f"What is left of {budgets} does not cover what this request may cost"
        if resets_at is None:
            less = "Set a lower max_tokens." if self.units is None else "Ask for less."
            message = f"{reason}, and never will. {less}"
            if self.unknown:
                fields = ", ".join(sorted({f"{name} ({what})" for name, what in self.unknown}))
                message = (
                    f"{reason}, and never will: the size of {fields} is not known, so the whole "
                    "context window counts. Leave it out, or set a lower max_tokens."
                )
        else:
            message = f"{reason}. More is available at {resets_at:%Y-%m-%dT%H:%M:%SZ}."
        return BudgetExceeded(message, recorded_for=self.request_id, resets_at=resets_at)


def payer_of(request: GatewayRequest) -> Payer:
    """Return the key, user, team and project whose budgets pay for ``request``."""
    client = request.client
    return Payer.of(
        key=client.key,
        user=request.user_id,
        tenant=client.tenant,
        project=client.project,
        session=request.session_id,
    )


def must_refuse(refusals: Iterable[Refusal]) -> bool:
    """Return whether a budget of the client refuses the request, whatever model it uses.

    Such a budget is set to refuse at its limit, so no cheaper model is tried.
    """
    return any(r.at_limit == Budget.AtLimit.REFUSE and not r.of_models for r in refusals)


def _bars(refusal: Refusal, option: ModelOption, worst: Decimal) -> bool:
    return _is_of(refusal, option.provider, option.model) and worst > refusal.available


def _is_of(limit: Budget | Refusal, provider: str, model: str) -> bool:
    """Return whether a limit concerns this model; one of a client concerns every model."""
    if not limit.subject:
        return True
    if limit.scope == Budget.Scope.PROVIDER:
        return limit.subject == provider
    return limit.scope != Budget.Scope.MODEL or of_model(limit.subject, provider, model)


def _whose(refusal: Refusal) -> str:
    if refusal.of_models:
        return "the budgets of models"
    who = _WHO.get(Budget.Scope(refusal.scope))
    return f"this {who}'s budget" if who else "the budget"


def _concerns(budget: Budget, payer: Payer) -> bool:
    if budget.scope not in _WHO:
        return True
    subject = getattr(payer, budget.scope)
    # Only the database knows which keys replaced which.
    return bool(subject) and (
        not budget.subject or budget.scope == Budget.Scope.KEY or subject == budget.subject
    )
