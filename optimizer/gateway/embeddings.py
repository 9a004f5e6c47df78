"""Embeddings: passed through, priced and recorded."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from analytics.budgets.claims import Refusal
from optimizer.access.clients import asked_by
from optimizer.budgets.reservations import Budgets, Purse
from optimizer.domain.client import ANYONE, Client
from optimizer.domain.model_names import ModelNames, UnknownModel
from optimizer.domain.options import Wishes
from optimizer.domain.request import Ask, CacheUse, storable_id
from optimizer.domain.result import CompletionResult, RoutingUnavailable
from optimizer.gateway.recording.accounting import Bookkeeper, milliseconds_since
from optimizer.gateway.recording.ledger_entries import RequestFacts, Timing
from providers.bounds import most_embedded_tokens
from providers.chat import Chat
from providers.completion import Choice, Completion
from providers.embedding import Embedder
from providers.resilience import AllProvidersFailed, Attempt, ResilientCaller
from providers.storable import storable_text
from routing.models import PromptAnalysis, RoutingDecision
from routing.rules import names

_NO_CACHE = CacheUse(read=False, write=False, why_not="embeddings")


class EmbeddingService:
    """One a process; safe for concurrent use."""

    def __init__(
        self,
        names: ModelNames,
        caller: ResilientCaller,
        books: Bookkeeper,
        budgets: Budgets | None = None,
    ) -> None:
        self._names = names
        self._caller = caller
        self._books = books
        self._budgets = budgets

    async def embed(
        self,
        model: str,
        body: Mapping[str, Any],
        wishes: Wishes,
        request_id: uuid.UUID,
        client: Client = ANYONE,
    ) -> tuple[Mapping[str, Any], CompletionResult]:
        """The provider's answer, and what is told of it; returns once the record is durable.

        Raises :class:`optimizer.domain.model_names.UnknownModel`,
        :class:`optimizer.domain.result.RoutingUnavailable`,
        :class:`optimizer.domain.result.BudgetExceeded`,
        :class:`analytics.ledger.ledger.BudgetsUnavailable` and
        :class:`analytics.ledger.ledger.LedgerUnavailable`.
        """
        started = time.perf_counter()
        chain = [
            (spec.provider, spec.id)
            for spec in self._names.embedding(model)
            if isinstance(self._caller.providers[spec.provider], Embedder)
            and (not client.models or names(client.models, spec.provider, spec.id))
        ]
        if not chain:
            raise UnknownModel(
                f"No configured provider of '{model}' embeds over this API for this client."
            )
        facts = _facts(model, body, wishes, request_id, client)
        decision = _decision(chain, facts.analysis)
        attempts: list[Attempt] = []
        permit = None
        if self._budgets is not None and self._budgets.concern(facts.ask):
            purse = self._budgets.purse_for(facts.ask, most_embedded_tokens(body), 0)
            chain = await _afforded(purse, chain)
            permit = purse.permit
        try:
            made = await self._caller.embed(chain, body, attempts, permit)
        except AllProvidersFailed as error:
            await self._books.failed(facts, decision, error.attempts, started)
            raise RoutingUnavailable(
                "No provider could embed this.",
                recorded_for=request_id,
                attempts=error.attempts,
                deadline_passed=error.deadline_passed,
            ) from None
        took = milliseconds_since(started)
        completion = Completion(made.provider, made.model, (Choice((), "stop"),), made.usage)
        booked = await asyncio.shield(
            self._books.answered(facts, decision, completion, attempts, Timing(took, took))
        )
        return made.body, booked.result


async def _afforded(purse: Purse, chain: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """``chain`` from the first model on whose cost could be held."""
    refusals: Sequence[Refusal] = ()
    for place, (provider, model) in enumerate(chain):
        refusals = await purse.hold(provider, model)
        if not refusals:
            return chain[place:]
    raise purse.exceeded(refusals)


def _facts(
    model: str,
    body: Mapping[str, Any],
    wishes: Wishes,
    request_id: uuid.UUID,
    client: Client,
) -> RequestFacts:
    given = body.get("input")
    first = given[0] if isinstance(given, list) and given else given
    text = storable_text(first) if isinstance(first, str) else ""
    ask = Ask(
        chat=Chat.of_prompt(text),
        prompt=text,
        cache_key="",
        strategy="named",
        endpoint="embeddings",
        requested_model=model,
        tags=wishes.tags,
        session_id=wishes.session_id,
        user_id=storable_id(str(body.get("user") or "")),
        cache=_NO_CACHE,
        request_id=request_id,
    )
    return RequestFacts(asked_by(ask, client), ask.analyze())


def _decision(chain: list[tuple[str, str]], analysis: PromptAnalysis) -> RoutingDecision:
    provider, model = chain[0]
    refs = [{"provider": p, "model": m} for p, m in chain]
    return RoutingDecision(
        provider=provider,
        model=model,
        confidence="high",
        strategy_used="named",
        reasoning=f"The request named {provider}/{model}.",
        metadata={
            "pattern": analysis.pattern,
            "complexity": analysis.complexity,
            "tier": analysis.tier,
            "token_count": analysis.token_count,
            "cost_estimate": None,
            "quality_score": None,
            "candidates": [],
            "fallback_chain": refs[1:],
            "baseline_chain": refs,
        },
    )
