"""Requests for models that do one thing: passed to their provider, priced and recorded."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from functools import partial

from optimizer.budgets.reservation import Reservation
from optimizer.budgets.reservations import Budgets
from optimizer.domain.analyzed_request import AnalyzedRequest
from optimizer.domain.client import ANONYMOUS, Client
from optimizer.domain.identifiers import NO_SESSION, Session
from optimizer.domain.model_names import ModelNames, UnknownModel
from optimizer.domain.options import RequestOptions
from optimizer.domain.request import CachePolicy, GatewayRequest, apply_client, storable_id
from optimizer.domain.result import CompletionResult, NotAllowed
from optimizer.gateway.embeddings import (
    afforded,
    kept_within,
    left_by_rules,
    named_decision,
    under_rules,
)
from optimizer.gateway.recording.accounting import Accounting, Recorded, milliseconds_since
from optimizer.gateway.recording.ledger_entries import Timing
from optimizer.gateway.recording.unfinished import UnfinishedCall, UnfinishedCalls
from optimizer.policies.rules import ActiveRules
from optimizer.shared.tasks import Background
from providers.catalogue import ModelSpec
from providers.chat import Chat
from providers.completion import Choice, Completion, Usage
from providers.errors import ClientGone, ProviderError
from providers.pricing import PriceBook
from providers.resilience import Attempt, ResilientCaller
from providers.specialised.bounds import Used, most_used, usually_used
from providers.specialised.requests import (
    SpecialisedAnswer,
    SpecialisedRequest,
    SpecialisedStream,
    Specialist,
)
from providers.specialised.usage import settled
from providers.storable import storable_text
from routing.models import ModelRef, RoutingDecision
from routing.rules import names

_NO_CACHE = CachePolicy(read=False, write=False, bypass_reason="no chat")
# Texts that are longer are counted and hashed on a thread.
_LARGE_CHARACTERS = 200_000


@dataclass(frozen=True, slots=True)
class Performed:
    """A whole answer, once its record is durable, and the result of its request."""

    answer: SpecialisedAnswer
    result: CompletionResult


class SpecialisedService:
    """Sends such requests to providers. One per process; safe for concurrent use."""

    def __init__(
        self,
        names: ModelNames,
        caller: ResilientCaller,
        accounting: Accounting,
        budgets: Budgets,
        prices: PriceBook,
        rules: ActiveRules | None = None,
    ) -> None:
        self._rules = rules
        self._names = names
        self._caller = caller
        self._accounting = accounting
        self._budgets = budgets
        self._prices = prices
        self._unfinished = UnfinishedCalls(accounting, "Model")
        self._background = Background()

    async def drain(self) -> None:
        """Wait until all requests that ended without an answer, or within it, are recorded."""
        await self._background.drain()
        await self._unfinished.drain()

    async def perform(
        self,
        model: str,
        request: SpecialisedRequest,
        options: RequestOptions,
        request_id: uuid.UUID,
        client: Client = ANONYMOUS,
    ) -> Performed | RecordedStream:
        """Return the provider's answer, or a stream that records itself before its last piece.

        Raises :class:`optimizer.domain.model_names.UnknownModel`,
        :class:`optimizer.domain.result.NotAllowed`,
        :class:`routing.models.NoEligibleModel` if rules leave no model,
        :class:`optimizer.domain.result.OutsideRegions`,
        :class:`optimizer.domain.result.RoutingUnavailable`,
        :class:`optimizer.domain.result.BudgetExceeded`,
        :class:`analytics.ledger.ledger.BudgetsUnavailable` and
        :class:`analytics.ledger.ledger.LedgerUnavailable`.
        """
        started = time.perf_counter()
        allowed = self._allowed(model, request, client)
        prepare = partial(_prepared, model, request, options, request_id, client)
        large = len(request.text) > _LARGE_CHARACTERS or request.task == "rerank"
        analyzed, most, expected = await asyncio.to_thread(prepare) if large else prepare()
        if self._rules is not None and self._rules.bind_all:
            analyzed = await asyncio.to_thread(under_rules, self._rules, analyzed, request.fields)
        residency = options.residency | client.residency | analyzed.effect.residency
        chain = kept_within(self._caller, left_by_rules(allowed, analyzed.effect), residency)
        decision = named_decision(chain, analyzed.analysis, analyzed.effect)
        attempts: list[Attempt] = []
        broken: list[ProviderError] = []
        reservation = None
        try:
            if client.tokens_per_minute is not None:
                await self._accounting.reserve_tokens(analyzed, most.input_tokens)
            if self._budgets.concern(analyzed.request):
                reservation = self._budgets.specialised_reservation(
                    analyzed.request, most, expected
                )
                chain = await afforded(reservation, chain)
            authorize = reservation.authorize if reservation else None
            called = time.perf_counter()
            answer = await self._caller.perform(
                chain, request, attempts, authorize, client.tenant, residency, broken
            )
        except BaseException as error:  # noqa: BLE001 - whatever it is, the call is settled
            call = UnfinishedCall(analyzed, started, attempts, decision, reservation)
            # Nobody knows how much of an answer was made that did not come.
            unpriced = any(failure.usage is None for failure in broken)
            raise await self._unfinished.end(call, error, unpriced=unpriced) from None
        record = _Recording(
            self, request, analyzed, decision, attempts, reservation, started, called
        )
        if isinstance(answer, SpecialisedStream):
            return RecordedStream(answer, record, self._background)
        recorded = await record.whole(answer, answer.usage)
        return Performed(answer, recorded.result)

    def _allowed(self, model: str, request: SpecialisedRequest, client: Client) -> list[ModelSpec]:
        providers = self._caller.providers
        specs = [
            spec
            for spec in self._names.specialised(model, request.task)
            if isinstance(providers[spec.provider], Specialist)
        ]
        if not specs:
            raise UnknownModel(f"No configured provider of '{model}' serves /v1/{request.task}.")
        allowed = [
            spec
            for spec in specs
            if not client.models or names(client.models, spec.provider, spec.id, spec.snapshot_of)
        ]
        if not allowed:
            raise NotAllowed(f"This API key does not allow the model '{model}'.")
        return allowed

    def settled(self, usage: Usage, request: SpecialisedRequest, model: ModelRef) -> Usage:
        """Return ``usage`` with an estimate of what is not reported and decides the cost."""
        rates = self._prices.rates(*model)
        prices = rates.fees.units if rates is not None else None
        by_tokens = rates is not None and (prices is None or prices.tokens)
        if prices is not None and usage.units is not None and prices.knows(usage.units):
            by_tokens = by_tokens and not usage.unreported
        return settled(usage, request, by_tokens=by_tokens)


@dataclass(slots=True)
class _Recording:
    """What is needed to record the answer of one request."""

    service: SpecialisedService
    request: SpecialisedRequest
    analyzed: AnalyzedRequest
    decision: RoutingDecision
    attempts: list[Attempt]
    reservation: Reservation | None
    started: float
    called: float
    first_piece: float | None = None

    async def whole(
        self, answer: SpecialisedAnswer | SpecialisedStream, usage: Usage, cut_off: str = ""
    ) -> Recorded:
        """Record the answer, or the part of it that was delivered if it was ``cut_off``."""
        ref = ModelRef(answer.provider, answer.model)
        usage = self.service.settled(usage, self.request, ref)
        completion = Completion(*ref, (Choice((), "stop"),), usage, member=answer.member)
        since = milliseconds_since
        first = None if self.first_piece is None else (self.first_piece - self.started) * 1000
        recording = self.service._accounting.record_answer(
            self.analyzed,
            self.decision,
            completion,
            self.attempts,
            Timing(since(self.started), since(self.called), first),
            cut_off=cut_off,
            reservation=self.reservation,
        )
        call = UnfinishedCall(
            self.analyzed, self.started, self.attempts, self.decision, self.reservation, completion
        )
        return await self.service._unfinished.record(call, recording)


@dataclass(slots=True, eq=False)
class RecordedStream:
    """An answer that arrives piece by piece; the last piece is sent once the record is durable.

    However the stream ends, its sender calls :meth:`leave`.
    """

    stream: SpecialisedStream
    _recording: _Recording
    _background: Background
    _ended: bool = field(default=False, init=False)

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers of the provider that clients read."""
        return self.stream.headers

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """Yield the pieces as they arrive.

        Raises :class:`ProviderError` if the provider breaks off; what it delivered is recorded.
        """
        held: bytes | None = None
        async with aclosing(self.stream.pieces) as pieces:
            try:
                async for piece in pieces:
                    if self._recording.first_piece is None:
                        self._recording.first_piece = time.perf_counter()
                    if held is not None:
                        yield held
                        held = None
                    if self.stream.events and not self.stream.ending():
                        yield piece
                    else:
                        held = piece
            except ProviderError as error:
                await self._record(error.code)
                raise
        await self._record()
        if held is not None:
            yield held

    def leave(self) -> None:
        """Record what was delivered of a stream that its client left."""
        if not self._ended:
            self._background.run(self._left())

    async def _left(self) -> None:
        await self.stream.pieces.aclose()
        await self.stream.close()
        await self._record(ClientGone.code)

    async def _record(self, cut_off: str = "") -> None:
        if self._ended:
            return
        self._ended = True
        stream = self.stream
        usage = stream.usage()
        if cut_off and self._recording.request.task != "audio/speech" and usage.unreported:
            # Nobody knows how much of it was made: all of it may be charged.
            usage = replace(usage, units=usually_used(self._recording.request).units)
        await self._recording.whole(stream, usage, cut_off)


def _prepared(
    model: str,
    request: SpecialisedRequest,
    options: RequestOptions,
    request_id: uuid.UUID,
    client: Client,
) -> tuple[AnalyzedRequest, Used, Used]:
    """Return the analyzed request, the most that it may use, and about how much it will."""
    text = storable_text(request.text)
    gateway_request = GatewayRequest(
        chat=Chat.of_prompt(text),
        prompt=text,
        cache_key="",
        strategy="named",
        endpoint=request.task,
        requested_model=model,
        streamed=request.streams,
        tags=options.tags,
        session=Session(options.session_id) if options.session_id else NO_SESSION,
        user_id=storable_id(request.text_of("user")),
        cache=_NO_CACHE,
        request_id=request_id,
    )
    analyzed = AnalyzedRequest(apply_client(gateway_request, client), gateway_request.analyze())
    return analyzed, most_used(request), usually_used(request)
