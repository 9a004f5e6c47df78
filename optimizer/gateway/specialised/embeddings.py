"""Embeddings: passed through, priced and recorded."""

from __future__ import annotations

import asyncio
import hashlib
import time
import uuid
from collections.abc import Mapping
from functools import partial
from typing import Any

from optimizer.budgets.reservations import Budgets
from optimizer.domain.analyzed_request import AnalyzedRequest
from optimizer.domain.client import ANONYMOUS, Client
from optimizer.domain.identifiers import NO_SESSION, Session
from optimizer.domain.model_names import ModelNames, UnknownModel
from optimizer.domain.options import RequestOptions
from optimizer.domain.request import CachePolicy, GatewayRequest, storable_id
from optimizer.domain.request_bounds import apply_client
from optimizer.domain.result import CompletionResult
from optimizer.gateway.recording.accounting import Accounting
from optimizer.gateway.recording.timing import Timing, milliseconds_since
from optimizer.gateway.recording.unfinished import UnfinishedCall, UnfinishedCalls
from optimizer.gateway.specialised.named_models import (
    afforded,
    kept_within,
    left_by_rules,
    named_decision,
    under_rules,
)
from optimizer.policies.rules import ActiveRules
from providers.chat import Chat
from providers.completion import Choice, Completion
from providers.embedding import Embedder, is_large_input
from providers.large_json import LARGE_BYTES
from providers.resilience import Attempt, ResilientCaller
from providers.storable import storable_text
from providers.token_bounds import most_embedded_tokens
from providers.usage_estimates import embedded_tokens
from routing.rules import names

_NO_CACHE = CachePolicy(read=False, write=False, bypass_reason="embeddings")


class EmbeddingService:
    """Sends embedding requests to providers. One per process; safe for concurrent use."""

    def __init__(
        self,
        names: ModelNames,
        caller: ResilientCaller,
        accounting: Accounting,
        budgets: Budgets | None = None,
        rules: ActiveRules | None = None,
    ) -> None:
        self._rules = rules
        self._names = names
        self._caller = caller
        self._accounting = accounting
        self._budgets = budgets
        self._unfinished = UnfinishedCalls(accounting, "Embeddings")

    async def drain(self) -> None:
        """Wait until all requests that ended without an answer are recorded."""
        await self._unfinished.drain()

    async def embed(
        self,
        model: str,
        body: Mapping[str, Any],
        options: RequestOptions,
        request_id: uuid.UUID,
        client: Client = ANONYMOUS,
    ) -> tuple[Mapping[str, Any], CompletionResult]:
        """Return the provider's answer and the result of the request, once the record is durable.

        Raises :class:`optimizer.domain.model_names.UnknownModel`,
        :class:`optimizer.domain.result.NestedTooDeeply`,
        :class:`routing.models.NoEligibleModel` if rules leave no model,
        :class:`optimizer.domain.result.OutsideRegions`,
        :class:`optimizer.domain.result.RoutingUnavailable`,
        :class:`optimizer.domain.result.BudgetExceeded`,
        :class:`analytics.ledger.ledger.BudgetsUnavailable` and
        :class:`analytics.ledger.ledger.LedgerUnavailable`.
        """
        started = time.perf_counter()
        specs = [
            spec
            for spec in self._names.embedding(model)
            if isinstance(self._caller.providers[spec.provider], Embedder)
            and (
                not client.models or names(client.models, spec.provider, spec.id, spec.snapshot_of)
            )
        ]
        if not specs:
            raise UnknownModel(
                f"No configured provider of '{model}' offers embeddings to this client."
            )
        analyze = partial(self._under_rules, model, body, options, request_id, client)
        large = is_large_input(body)
        analyzed = await asyncio.to_thread(analyze) if large else analyze()
        residency = options.residency | client.residency | analyzed.effect.residency
        chain = kept_within(self._caller, left_by_rules(specs, analyzed.effect), residency)
        decision = named_decision(chain, analyzed.analysis, analyzed.effect)
        attempts: list[Attempt] = []
        reservation = None
        most, counted = await asyncio.to_thread(_sizes, body) if large else _sizes(body)
        try:
            if client.tokens_per_minute is not None:
                await self._accounting.reserve_tokens(analyzed, most)
            if self._budgets is not None and self._budgets.concern(analyzed.request):
                reservation = self._budgets.reservation_for(analyzed.request, body, most, counted)
                chain = await afforded(reservation, chain)
            authorize = reservation.authorize if reservation else None
            answer = await self._caller.embed(
                chain, body, attempts, authorize, client.tenant, residency
            )
        except BaseException as error:  # noqa: BLE001 - whatever it is, the call is settled
            call = UnfinishedCall(analyzed, started, attempts, decision, reservation)
            raise await self._unfinished.end(call, error) from None
        elapsed = milliseconds_since(started)
        completion = Completion(
            answer.provider, answer.model, (Choice((), "stop"),), answer.usage, member=answer.member
        )
        call = UnfinishedCall(analyzed, started, attempts, decision, reservation, completion)
        recording = self._accounting.record_answer(
            analyzed,
            decision,
            completion,
            attempts,
            Timing(elapsed, elapsed),
            reservation=reservation,
        )
        recorded = await self._unfinished.record(call, recording)
        return answer.body, recorded.result

    def _under_rules(
        self,
        model: str,
        body: Mapping[str, Any],
        options: RequestOptions,
        request_id: uuid.UUID,
        client: Client,
    ) -> AnalyzedRequest:
        """Return the analyzed request, with what rules demand of it."""
        analyzed = _analyzed(model, body, options, request_id, client)
        if self._rules is None or not self._rules.bind_all:
            return analyzed
        return under_rules(self._rules, analyzed, body)


def _sizes(body: Mapping[str, Any]) -> tuple[int, int]:
    """Return the most tokens that the input may have, and the estimated ones."""
    return most_embedded_tokens(body), embedded_tokens(body)


def _analyzed(
    model: str,
    body: Mapping[str, Any],
    options: RequestOptions,
    request_id: uuid.UUID,
    client: Client,
) -> AnalyzedRequest:
    inputs = body.get("input")
    first = inputs[0] if isinstance(inputs, list) and inputs else inputs
    text = storable_text(first) if isinstance(first, str) else ""
    request = GatewayRequest(
        chat=Chat.of_prompt(text),
        prompt=text,
        # A large request is read on a thread, and so hashed here.
        prompt_hash=hashlib.sha256(text.encode()).hexdigest() if len(text) > LARGE_BYTES else "",
        cache_key="",
        strategy="named",
        endpoint="embeddings",
        requested_model=model,
        tags=options.tags,
        session=Session(options.session_id) if options.session_id else NO_SESSION,
        user_id=storable_id(str(body.get("user") or "")),
        cache=_NO_CACHE,
        request_id=request_id,
    )
    return AnalyzedRequest(apply_client(request, client), request.analyze())
