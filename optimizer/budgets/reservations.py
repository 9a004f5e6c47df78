"""Budgets before a call: opens a reservation for each request that one concerns."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from analytics.budgets.begun_calls import BegunCalls
from analytics.budgets.claims import Payer, Refusal
from analytics.budgets.opening import budgets_load, budgets_version
from analytics.budgets.workers import worker_heartbeat
from analytics.ledger.ledger import Ledger
from optimizer.budgets.concerns import concerns, is_of, payer_of, refused_by
from optimizer.budgets.most_cost import most_cost, reads_whatever_is_there
from optimizer.budgets.reservation import FETCHED, HeldFor, Reservation
from optimizer.domain.client import Client
from optimizer.domain.request import ASSUMED_MAX_TOKENS, GatewayRequest
from optimizer.domain.result import BudgetExceeded, UnknownInputRefused
from optimizer.shared.snapshot import Snapshot
from providers.chat import Chat
from providers.cost_bounds import CostBound, cost_bound, embedded_bound
from providers.pricing import PriceBook
from providers.specialised.bounds import Used
from providers.token_bounds import most_input_tokens
from providers.token_density import TokenDensity
from providers.usage_estimates import charged_input


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
        return any(concerns(budget, payer) for budget in budgets)

    def most_in_batch(
        self, provider: str, model: str, input_tokens: int, bound: CostBound
    ) -> Decimal | None:
        """Return the most that one request of a batch may cost, ``None`` without a price.

        Raises :class:`optimizer.domain.result.UnknownInputRefused`.
        """
        unknown = bound.unknown
        if bound.fetched and reads_whatever_is_there(provider):
            unknown += FETCHED
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
        origin = HeldFor(request.request_id, request.asked_at, payer_of(request), request.endpoint)
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
        origin = HeldFor(request.request_id, request.asked_at, payer_of(request), request.endpoint)
        return self._open(origin, input_tokens, counted, bound)

    def specialised_reservation(
        self, request: GatewayRequest, most: Used, expected: Used
    ) -> Reservation:
        """Return the reservation for a request of a specialised model.

        ``most`` is the most that it may use, ``expected`` about what it will.
        """
        bound = CostBound(most.output_tokens, units=most.units)
        origin = HeldFor(request.request_id, request.asked_at, payer_of(request), request.endpoint)
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
        budgets, resets_at = refused_by(refusals)
        message = f"Nothing is left of {budgets}."
        if amount is not None:
            message = f"What is left of {budgets} does not cover what this batch may cost."
        return BudgetExceeded(message, recorded_for=request_id, resets_at=resets_at)

    def own_reservation(self, chat: Chat) -> Reservation | None:
        """Return the reservation for a chat of the service itself, ``None`` without budgets."""
        if not self.any:
            return None
        origin = HeldFor(uuid.uuid4(), datetime.now(UTC), Payer())
        bound = cost_bound(chat, chat.max_tokens or ASSUMED_MAX_TOKENS)
        return self._open(origin, most_input_tokens(chat), charged_input(chat), bound)

    def _open(
        self, origin: HeldFor, input_tokens: int, counted: int, bound: CostBound
    ) -> Reservation:

        def worst(provider: str, model: str) -> Decimal | None:
            return most_cost(self._prices, provider, model, input_tokens, bound)

        def limited(provider: str, model: str) -> bool:
            budgets = self._budgets.value
            return budgets is None or any(
                concerns(budget, origin.payer) and is_of(budget, provider, model)
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
