"""Requests for models that do one thing: passed to their provider, priced and recorded."""

from __future__ import annotations

import asyncio
import time
import uuid
from dataclasses import dataclass
from functools import partial

from optimizer.budgets.reservations import Budgets
from optimizer.domain.analyzed_request import AnalyzedRequest
from optimizer.domain.client import ANONYMOUS, Client
from optimizer.domain.identifiers import NO_SESSION, Session
from optimizer.domain.model_names import ModelNames, UnknownModel
from optimizer.domain.options import RequestOptions
from optimizer.domain.request import CachePolicy, GatewayRequest, storable_id
from optimizer.domain.request_bounds import apply_client
from optimizer.domain.result import CompletionResult, NotAllowed
from optimizer.gateway.recording.accounting import Accounting
from optimizer.gateway.recording.unfinished import UnfinishedCall, UnfinishedCalls
from optimizer.gateway.specialised.named_models import (
    afforded,
    kept_within,
    left_by_rules,
    named_decision,
    under_rules,
)
from optimizer.gateway.specialised.recorded_answers import AnswerRecording, RecordedStream
from optimizer.policies.rules import ActiveRules
from optimizer.shared.tasks import Background
from providers.catalogue import ModelSpec
from providers.chat import Chat
from providers.errors import ProviderError
from providers.pricing import PriceBook
from providers.resilience import Attempt, ResilientCaller
from providers.specialised.bounds import Used, most_used, usually_used
from providers.specialised.requests import (
    SpecialisedAnswer,
    SpecialisedRequest,
    SpecialisedStream,
    Specialist,
)
from providers.storable import storable_text
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
    """Passes requests for specialised models on. One per process; safe for concurrent use."""

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
        :class:`optimizer.domain.result.NestedTooDeeply`,
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
        recording = AnswerRecording(
            self._accounting,
            self._unfinished,
            self._prices,
            request,
            analyzed,
            decision,
            attempts,
            reservation,
            started,
            called,
        )
        if isinstance(answer, SpecialisedStream):
            return RecordedStream(answer, recording, self._background)
        recorded = await recording.whole(answer, answer.usage)
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
