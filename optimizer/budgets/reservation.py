"""The money held for one request, from before its call until it is recorded."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from analytics.budgets.begun_calls import BegunCalls, CallProgress
from analytics.budgets.claims import Charge, Claim, Payer, Refusal
from analytics.ledger.ledger import Ledger
from optimizer.budgets.concerns import bars, refused_by
from optimizer.budgets.most_cost import reads_whatever_is_there
from optimizer.domain.result import BudgetExceeded, UnknownInputRefused
from providers.completion import Usage
from providers.errors import CallNotAuthorized
from providers.resilience import Attempt
from providers.token_density import TokenDensity
from providers.units import Units
from routing.models import ModelOption, ModelRef

_ZERO = Decimal(0)
_DOES_NOT_FIT = "what it may cost does not fit into a budget"
FETCHED = (("messages", "an image by its address"),)
"""Input of unknown size that a provider fetches: the field, and what it holds."""
_OF_UNKNOWN_SIZE = (
    "a budget applies, and the size of an image behind an address is not known before the call"
)
_UNPRICED = "its price is unknown, so no budget can be enforced"
# A provider's error begins with its name.
_NOT_CALLED = "was not called: {}"


@dataclass(frozen=True, slots=True)
class HeldFor:
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
    origin: HeldFor
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
            elif any(bars(refusal, option, worst) for refusal in refusals):
                reasons[option.ref] = _DOES_NOT_FIT
        if options and all(reasons.get(option.ref) == _OF_UNKNOWN_SIZE for option in options):
            raise UnknownInputRefused(FETCHED)
        return reasons

    def exceeded(self, refusals: Sequence[Refusal]) -> BudgetExceeded:
        """Return the error that tells the client which budgets refuse, and when they reset."""
        budgets, resets_at = refused_by(refusals)
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
