"""One request from prompt to answer: cache, route, call, price, record."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, TypeVar

from analytics.cache import cache_key
from analytics.reports.usage import routing_metrics
from optimizer.access.clients import asked_by
from optimizer.budgets.reservations import Budgets
from optimizer.domain.client import ANYONE, Client
from optimizer.domain.request import Ask
from optimizer.domain.request_ids import new_request_id
from optimizer.domain.result import BudgetExceeded, CompletionResult, RoutingUnavailable
from optimizer.gateway.cache.lookup import AnswerCache, Found
from optimizer.gateway.model_options import CatalogueOptions
from optimizer.gateway.model_selection import Decider
from optimizer.gateway.prompt_cache import Conversations
from optimizer.gateway.recording.accounting import Booked, Bookkeeper, milliseconds_since
from optimizer.gateway.recording.decisions import heard_decision
from optimizer.gateway.recording.ledger_entries import RequestFacts, Timing
from optimizer.gateway.single_flight import SingleFlight
from optimizer.gateway.streaming.client_stream import AnswerStream
from optimizer.gateway.streaming.shared_stream import LiveAnswer, LiveAnswers
from optimizer.policies.experiments import Experiments
from optimizer.policies.rules import RuleBook
from optimizer.quality.judge import Judge
from optimizer.shared.tasks import Background
from providers.chat import Chat
from providers.completion import CompletionRequest
from providers.resilience import AllProvidersFailed, Attempt, ResilientCaller
from routing.engine import RoutingEngine
from routing.models import RoutingDecision
from routing.rules import NO_EFFECT

Shared = TypeVar("Shared")


@dataclass(frozen=True, slots=True)
class _Landed:
    """What a flight brings home: the shareable answer, and the leader's own result if fresh."""

    found: Found
    fresh: CompletionResult | None = None


class RoutingService:
    """The gateway's core. One per process; safe for concurrent use."""

    def __init__(
        self,
        *,
        engine: RoutingEngine,
        options: CatalogueOptions,
        caller: ResilientCaller,
        books: Bookkeeper,
        cache: AnswerCache,
        rules: RuleBook | None = None,
        judge: Judge | None = None,
        experiments: Experiments | None = None,
        budgets: Budgets | None = None,
    ) -> None:
        self._caller = caller
        self._books = books
        self._cache = cache
        self._rules = rules
        self._judge = judge
        self._experiments = experiments
        self._conversations = Conversations()
        self._decider = Decider(engine, options, books, self._conversations, budgets)
        self._flights: SingleFlight[_Landed] = SingleFlight()
        self._live = LiveAnswers()
        self._background = Background()

    async def route_and_complete(
        self,
        prompt: str,
        *,
        max_tokens: int = 1000,
        auto_route: bool = False,
        user_id: str = "",
        session_id: str = "",
        request_id: uuid.UUID | None = None,
        client: Client = ANYONE,
        asked_at: datetime | None = None,
        baseline: tuple[str, str] | None = None,
    ) -> CompletionResult:
        """Answer ``prompt`` and record it; ``asked_at`` (aware) is when it was asked, if not now,
        ``baseline`` the (provider, model) that it is compared with, if not complexity's choice.

        Raises what :meth:`complete` does.
        """
        return await self.complete(
            asked_by(
                Ask(
                    chat=Chat.of_prompt(prompt, max_tokens),
                    prompt=prompt,
                    cache_key=cache_key(prompt, max_tokens=max_tokens, auto_route=auto_route),
                    semantic_key=cache_key("", max_tokens=max_tokens, auto_route=auto_route)
                    if self._cache.semantic
                    else "",
                    strategy="hybrid" if auto_route else "complexity",
                    user_id=user_id,
                    session_id=session_id,
                    request_id=request_id or new_request_id(),
                    asked_at=asked_at or datetime.now(UTC),
                    baseline=baseline,
                ),
                client,
            )
        )

    async def complete(self, ask: Ask) -> CompletionResult:
        """Answer ``ask`` and record it; returns once the record is durable.

        Raises :class:`RoutingUnavailable` when no provider answers,
        :class:`NotCached` when only a cached answer was wanted and there is none,
        :class:`routing.models.NoEligibleModel` when no model can serve such a
        request, :class:`BudgetExceeded` when a budget has no room for it,
        :class:`analytics.ledger.ledger.BudgetsUnavailable` when none can be asked,
        :class:`analytics.ledger.ledger.LedgerUnavailable` when the answer could not be
        recorded.
        """
        started = time.perf_counter()
        facts = self._facts(ask)
        landed, leads = await self._with_others(
            facts,
            started,
            lambda: self._flights.run(self._shared(facts), lambda: self._fly(facts, started)),
        )
        if leads and landed.fresh is not None:
            return landed.fresh
        found = landed.found
        return await self._books.hit(facts, found.entry, started, found.likeness)

    async def stream(self, ask: Ask) -> AnswerStream:
        """A stream of the answer that has begun to speak; iterate over it, and close it.

        Raises what :meth:`complete` does, before anything has been said.
        """
        started = time.perf_counter()
        facts = self._facts(ask)
        found = await self._cache.find(facts)
        if found is not None:
            hit = await self._books.hit(facts, found.entry, started, found.likeness)
            return AnswerStream.of_cached(hit)
        live, leads = await self._with_others(
            facts,
            started,
            lambda: self._live.listen(self._shared(facts), lambda: self._open(facts, started)),
        )
        if leads:
            return AnswerStream.of_live(live, live.served, _own_result, lambda _: None)
        return AnswerStream.of_live(
            live,
            heard_decision(facts, live.served),
            lambda booked: self._books.hit(facts, booked.entry, started),
            lambda code: self._background.run(self._books.unheard(facts, code, started)),
        )

    def get_recommendation(
        self, prompt: str, *, max_tokens: int = 1000, client: Client = ANYONE
    ) -> RoutingDecision:
        """What hybrid routing would choose. Calls nobody, records nothing."""
        return self.decide(prompt, max_tokens=max_tokens, auto_route=True, client=client)

    def decide(
        self,
        prompt: str,
        *,
        max_tokens: int = 1000,
        auto_route: bool = True,
        client: Client = ANYONE,
    ) -> RoutingDecision:
        """The decision that ``route_and_complete`` would take now, past the cache."""
        strategy = "hybrid" if auto_route else "complexity"
        chat = Chat.of_prompt(prompt, max_tokens)
        return self.preview(Ask(chat, prompt, cache_key="", strategy=strategy, client=client))

    def preview(self, ask: Ask) -> RoutingDecision:
        """What would be decided for ``ask`` now, past the cache and experiments. Calls nobody."""
        return self._decider.preview(self._facts(ask, assign=False))

    @staticmethod
    def get_routing_metrics(days: int = 7, tenant: str | None = None) -> dict[str, Any]:
        """Savings and averages of the last ``days`` days, of one tenant or of all. Reads the
        database: not for the loop."""
        return routing_metrics(days, tenant=tenant)

    async def drain(self) -> None:
        """Wait for calls in flight, so that none goes unrecorded at shutdown."""
        await self._flights.drain()
        await self._live.drain()
        await self._background.drain()
        if self._judge is not None:
            await self._judge.drain()

    def _facts(self, ask: Ask, *, assign: bool = True) -> RequestFacts:
        if not self._cache.on:
            off = replace(ask.cache, read=False, write=False)
            ask = replace(ask, cache=off)
        assignment = None
        if self._experiments is not None and assign:
            ask, assignment = self._experiments.assign(ask)
        analysis = ask.analyze()
        effect = self._rules.effect(ask, analysis) if self._rules else NO_EFFECT
        if ask.client.models:
            effect = replace(effect, allowed=ask.client.models)
        if assignment is not None:
            effect = assignment.on(effect)
        facts = RequestFacts(ask, analysis, effect, assignment)
        if ask.chat.max_tokens is None and self._decider.bounded(facts):
            bounded = replace(ask.chat, max_tokens=ask.max_tokens)
            facts = replace(facts, ask=replace(ask, chat=bounded))
        return facts

    @staticmethod
    def _shared(facts: RequestFacts) -> str:
        """Requests with the same are answered by one call.

        Without the cache, or with wishes about what is in it, nobody may be given another's
        answer, so it is the request's own.
        """
        use = facts.ask.cache
        if use.read and use.write and not use.only and use.max_age is None:
            return facts.cache_key + facts.ask.semantic_key
        return str(facts.request_id)

    async def _with_others(
        self, facts: RequestFacts, started: float, share: Callable[[], Awaitable[Shared]]
    ) -> Shared:
        """What ``share`` gives, a call that others may have begun."""
        while True:
            try:
                return await share()
            except RoutingUnavailable as error:
                if error.recorded_for != facts.request_id:
                    await self._books.failed_with_another(facts, error, started)
                raise
            except BudgetExceeded as error:
                # Another's budget had no room: that says nothing of one's own.
                if error.recorded_for == facts.request_id:
                    raise

    async def _open(self, facts: RequestFacts, started: float) -> LiveAnswer:
        decision, purse = await self._decider.decide(facts, started)
        called = time.perf_counter()
        attempts: list[Attempt] = []
        try:
            opened = await self._caller.open_stream(
                _chain(decision),
                lambda model: CompletionRequest(model, facts.ask.chat),
                attempts,
                purse.permit if purse else None,
            )
        except AllProvidersFailed as error:
            raise await self._unavailable(facts, decision, error, started) from None
        except asyncio.CancelledError:
            # The client went away before the first token; what was asked for may be charged.
            self._background.run(self._books.failed(facts, decision, attempts, started))
            raise
        return LiveAnswer(
            self._books,
            facts,
            decision,
            opened,
            started=started,
            called=called,
            done=lambda booked: self._remember(facts, booked.result),
        )

    async def _fly(self, facts: RequestFacts, started: float) -> _Landed:
        found = await self._cache.find(facts)
        if found is not None:
            return _Landed(found)
        decision, purse = await self._decider.decide(facts, started)
        called = time.perf_counter()
        try:
            outcome = await self._caller.call(
                _chain(decision),
                lambda model: CompletionRequest(model, facts.ask.chat),
                purse.permit if purse else None,
            )
        except AllProvidersFailed as error:
            raise await self._unavailable(facts, decision, error, started) from None
        timing = Timing(milliseconds_since(started), milliseconds_since(called))
        booked = await self._books.answered(
            facts, decision, outcome.completion, outcome.attempts, timing
        )
        self._remember(facts, booked.result)
        return _Landed(Found(booked.entry), booked.result)

    async def _unavailable(
        self,
        facts: RequestFacts,
        decision: RoutingDecision,
        error: AllProvidersFailed,
        started: float,
    ) -> RoutingUnavailable:
        await self._books.failed(facts, decision, error.attempts, started)
        return RoutingUnavailable(
            "Routing unavailable: every provider failed.",
            recorded_for=facts.request_id,
            attempts=error.attempts,
            deadline_passed=error.deadline_passed,
        )

    def _remember(self, facts: RequestFacts, result: CompletionResult) -> None:
        self._cache.remember(facts, result)
        if self._judge is not None:
            self._judge.consider(facts, result)
        provider = self._caller.providers.get(result.provider)
        if provider is not None:
            self._conversations.remember(
                facts.ask.chat, result.provider, provider.wire, result.model,
                result.completion.usage,
            )  # fmt: skip


async def _own_result(booked: Booked) -> CompletionResult:
    """Of the client for whom the answer was asked for."""
    return booked.result


def _chain(decision: RoutingDecision) -> list[tuple[str, str]]:
    """The models to try, best first."""
    return [(decision.provider, decision.model)] + [
        (ref["provider"], ref["model"]) for ref in decision.metadata["fallback_chain"]
    ]
