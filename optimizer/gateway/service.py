"""One request from prompt to answer: cache, route, call, price, record."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from itertools import starmap
from operator import itemgetter
from typing import Any, TypeVar

from analytics.cache import cache_key
from analytics.reports.compared import ComparedWith
from analytics.reports.sum_sources import CachedSums
from analytics.reports.usage import routing_metrics
from optimizer.access.rate_limits import RateLimitExceeded
from optimizer.budgets.reservations import Budgets
from optimizer.domain.analyzed_request import AnalyzedRequest
from optimizer.domain.client import ANONYMOUS, Client
from optimizer.domain.request import GatewayRequest, apply_client, bounded_by_rules, within_latency
from optimizer.domain.result import BudgetExceeded, CompletionResult, RoutingUnavailable
from optimizer.domain.turns import KEEP_ALIVE
from optimizer.gateway.answer_speeds import LearnedSpeeds
from optimizer.gateway.cache.lookup import AnswerCache, CacheHit
from optimizer.gateway.keep_alive import CacheKeeper
from optimizer.gateway.levers.plans import RequestLevers, with_trial
from optimizer.gateway.model_options import AvailableModels
from optimizer.gateway.model_selection import ModelSelector
from optimizer.gateway.output_lengths import OutputLengths
from optimizer.gateway.prompt_cache import LEAST_CACHED_TOKENS, PromptCaches
from optimizer.gateway.recording.accounting import Accounting, Recorded
from optimizer.gateway.recording.decisions import shared_decision
from optimizer.gateway.recording.ledger_entries import CallClock
from optimizer.gateway.recording.unfinished import UnfinishedCall, UnfinishedCalls
from optimizer.gateway.session_states import SessionStates
from optimizer.gateway.single_flight import SingleFlight
from optimizer.gateway.streaming.client_stream import ClientStream, leave_opening
from optimizer.gateway.streaming.shared_stream import (
    STREAM_LIMITS,
    SharedStream,
    SharedStreams,
    StreamLimits,
)
from optimizer.policies.experiments import Experiments
from optimizer.policies.rules import ActiveRules
from optimizer.quality.judge import Judge
from optimizer.shared.tasks import Background
from providers import features
from providers.chat import Chat, Reasoning
from providers.resilience import Attempt, ResilientCaller
from routing.engine import RoutingEngine
from routing.models import ModelRef, RoutingDecision
from routing.rules import NO_EFFECT

logger = logging.getLogger(__name__)
Shared = TypeVar("Shared")
_REF = itemgetter("provider", "model")
# A stream that has not begun by then is opened for its client, which must not give up.
OPENS_AFTER_SECONDS = 2.0


class RoutingService:
    """The gateway's core. One per process; safe for concurrent use."""

    def __init__(
        self,
        *,
        engine: RoutingEngine,
        options: AvailableModels,
        caller: ResilientCaller,
        accounting: Accounting,
        cache: AnswerCache,
        rules: ActiveRules | None = None,
        judge: Judge | None = None,
        experiments: Experiments | None = None,
        budgets: Budgets | None = None,
        sessions: SessionStates | None = None,
        output_lengths: OutputLengths | None = None,
        levers: RequestLevers | None = None,
        speeds: LearnedSpeeds | None = None,
        stream_limits: StreamLimits = STREAM_LIMITS,
        keep_alive: CacheKeeper | None = None,
        most_abandoned: int = 0,
    ) -> None:
        self._keep_alive = keep_alive
        self._levers = levers
        self._caller = caller
        self._options = options
        self._accounting = accounting
        self._cache = cache
        self._rules = rules
        self._judge = judge
        self._experiments = experiments
        self._prompt_caches = PromptCaches()
        self._selector = ModelSelector(
            engine,
            options,
            accounting,
            self._prompt_caches,
            budgets,
            sessions,
            output_lengths,
            speeds,
        )
        self._flights: SingleFlight[CacheHit | Recorded] = SingleFlight(most_abandoned)
        self._streams = SharedStreams()
        self._stream_limits = stream_limits
        self._background = Background()
        self._unfinished = UnfinishedCalls(accounting)

    async def route_and_complete(
        self,
        prompt: str,
        *,
        max_tokens: int = 1000,
        auto_route: bool = False,
        max_latency: float | None = None,
        client: Client = ANONYMOUS,
        **fields: Any,
    ) -> CompletionResult:
        """Answer ``prompt`` and record it. ``max_latency`` is in seconds.

        ``fields`` are further fields of :class:`GatewayRequest`, such as ``request_id`` or
        ``baseline``; leave out what shall have its default. Raises what :meth:`complete` raises.
        """
        request = GatewayRequest(
            chat=Chat.of_prompt(prompt, max_tokens),
            prompt=prompt,
            cache_key=cache_key(prompt, max_tokens=max_tokens, auto_route=auto_route),
            semantic_key=cache_key("", max_tokens=max_tokens, auto_route=auto_route)
            if self._cache.semantic
            else "",
            strategy="hybrid" if auto_route else "complexity",
            **fields,
        )
        if max_latency is not None:
            request = within_latency(request, max_latency)
        return await self.complete(apply_client(request, client))

    async def complete(self, request: GatewayRequest) -> CompletionResult:
        """Answer ``request`` and record it; returns once the record is durable.

        Raises :class:`RoutingUnavailable` if no provider answers,
        :class:`optimizer.domain.result.NotCached` if the client accepts only a cached answer
        and there is none, :class:`routing.models.NoEligibleModel` if no model can serve the
        request, :class:`BudgetExceeded` if what is left of a budget does not cover it,
        :class:`analytics.ledger.ledger.BudgetsUnavailable` if budgets cannot be read, and
        :class:`analytics.ledger.ledger.LedgerUnavailable` if the answer cannot be recorded. Raises
        :class:`optimizer.access.rate_limits.RateLimitExceeded` if too few tokens of the key's
        minute are left.
        """
        started = time.perf_counter()
        analyzed = await self._analyze_aside(request)
        key = self._shared_key(analyzed)
        answer, leads = await self._retry_own_limits(
            analyzed,
            started,
            lambda: self._flights.run(
                key,
                lambda: self._find_or_call(analyzed, started),
                analyzed.request.client.tenant,
            ),
        )
        if isinstance(answer, CacheHit):
            entry, likeness = answer.entry, answer.likeness
            if leads and answer.trial is not None:
                analyzed = with_trial(analyzed, answer.trial)
        elif leads:
            return answer.result
        else:
            entry, likeness = answer.entry, None
        return await self._accounting.record_hit(analyzed, entry, started, likeness)

    async def stream(self, request: GatewayRequest) -> ClientStream:
        """Return a stream of the answer once it has begun; the caller must close it.

        If it has not begun after :data:`OPENS_AFTER_SECONDS`, the stream is returned all the
        same and keeps its client waiting. Raises what :meth:`complete` raises, before the first
        event or, for such a stream, in place of it.
        """
        decisions: list[RoutingDecision] = []
        opening = asyncio.ensure_future(self._client_stream(request, decisions.append))
        try:
            await asyncio.wait({opening}, timeout=OPENS_AFTER_SECONDS)
        except asyncio.CancelledError:
            leave_opening(opening)
            raise
        if opening.done():
            return opening.result()
        return ClientStream.of_opening(opening, decisions[0] if decisions else None)

    async def _client_stream(
        self, request: GatewayRequest, decided: Callable[[RoutingDecision], None]
    ) -> ClientStream:
        started = time.perf_counter()
        analyzed = await self._analyze_aside(request)
        try:
            cached = await self._cache.find(analyzed)
        except BaseException as error:  # noqa: BLE001 - whatever it is, the call is settled
            raise await self._unfinished.end(UnfinishedCall(analyzed, started), error) from None
        if cached is not None:
            if cached.trial is not None:
                analyzed = with_trial(analyzed, cached.trial)
            if not cached.left_alone:
                result = await self._accounting.record_hit(
                    analyzed, cached.entry, started, cached.likeness
                )
                return ClientStream.of_cached(result)
        key = self._shared_key(analyzed)
        shared, leads = await self._retry_own_limits(
            analyzed,
            started,
            lambda: self._streams.join(key, lambda: self._open(analyzed, started, decided)),
        )
        if leads:
            return ClientStream.of_shared(shared, shared.served, _own_result, lambda _: None)

        def abandoned(code: str) -> None:
            self._background.run(self._accounting.record_abandoned(analyzed, code, started))

        return ClientStream.of_shared(
            shared,
            shared_decision(analyzed, shared.served),
            lambda recorded: self._accounting.record_hit(analyzed, recorded.entry, started),
            abandoned,
        )

    def dropped(self, request: GatewayRequest, provider: str, model: str) -> tuple[str, ...]:
        """Return the fields of ``request`` that the model leaves out."""
        source = request.chat.source
        if source is None:
            return ()
        has = self._options.features(provider, model)
        return features.dropped(request.chat, has, relayed=f"the {source.wire} API" in has)

    def get_recommendation(
        self,
        prompt: str,
        *,
        max_tokens: int = 1000,
        max_latency: float | None = None,
        effort: str = "",
        client: Client = ANONYMOUS,
    ) -> RoutingDecision:
        """Return what hybrid routing would choose, without a call and without a record."""
        return self.decide(
            prompt,
            max_tokens=max_tokens,
            auto_route=True,
            max_latency=max_latency,
            effort=effort,
            client=client,
        )

    def decide(
        self,
        prompt: str,
        *,
        max_tokens: int = 1000,
        auto_route: bool = True,
        max_latency: float | None = None,
        effort: str = "",
        client: Client = ANONYMOUS,
    ) -> RoutingDecision:
        """Return the decision that ``route_and_complete`` would take now, without the cache.

        ``max_latency`` is in seconds; ``effort`` is how much the model is to reason.
        """
        strategy = "hybrid" if auto_route else "complexity"
        chat = Chat.of_prompt(prompt, max_tokens)
        if effort:
            chat = replace(chat, reasoning=Reasoning(effort))
        request = GatewayRequest(
            chat, prompt, cache_key="", strategy=strategy, max_latency=max_latency, client=client
        )
        return self.preview(request)

    def preview(self, request: GatewayRequest) -> RoutingDecision:
        """Return the decision for ``request`` now, without cache and experiments.

        Calls no model.
        """
        return self._selector.preview(self._analyze(request, assign=False))

    @staticmethod
    def get_routing_metrics(
        days: int = 7, tenant: str | None = None, compared: ComparedWith | None = None
    ) -> dict[str, Any]:
        """Return savings and averages of the last ``days`` days, of one tenant or of all.

        Savings are ``compared`` with its baseline, by default the recorded one.

        It reads the database, so do not call it on the event loop.
        """
        if compared is None:
            return routing_metrics(days, tenant=tenant)
        metrics = routing_metrics(days, sums=CachedSums(compared.sums(tenant)), tenant=tenant)
        metrics["cost_savings"]["baseline"] = compared.label
        return metrics

    async def drain(self) -> None:
        """Wait for calls in progress, so that all of them are recorded before shutdown."""
        await self._flights.drain()
        await self._streams.drain()
        await self._background.drain()
        await self._unfinished.drain()
        if self._judge is not None:
            await self._judge.drain()

    async def _analyze_aside(self, request: GatewayRequest) -> AnalyzedRequest:
        # A large chat takes its time, in which the event loop serves others.
        if request.chat.large:
            return await asyncio.to_thread(self._analyze, request)
        return self._analyze(request)

    def _analyze(self, request: GatewayRequest, *, assign: bool = True) -> AnalyzedRequest:
        if not self._cache.on:
            off = replace(request.cache, read=False, write=False)
            request = replace(request, cache=off)
        assignment = None
        if assign and self._experiments is not None and self._experiments.running:
            request, assignment = self._experiments.assign(request)
        analysis = request.analyze()
        effect = NO_EFFECT
        if self._rules is not None and self._rules.rules:
            effect = self._rules.effect(request, analysis)
            request = bounded_by_rules(request, effect)
        if request.client.models:
            effect = replace(effect, allowed=request.client.models)
        if assignment is not None:
            effect = assignment.on(effect)
        analyzed = AnalyzedRequest(request, analysis, effect, assignment)
        if request.chat.max_tokens is None and self._selector.bounded(analyzed):
            bounded = replace(request.chat, max_tokens=request.max_tokens)
            analyzed = replace(analyzed, request=replace(request, chat=bounded))
        return analyzed

    @staticmethod
    def _shared_key(analyzed: AnalyzedRequest) -> str:
        """Return the key of the call that answers this request; requests with one key share it.

        A request that bypasses the cache, or restricts which answers it accepts, may not get
        another request's answer, so it has a key of its own.
        """
        policy = analyzed.request.cache
        if policy.read and policy.write and not policy.only and policy.max_age is None:
            return analyzed.request.cache_key + analyzed.request.semantic_key
        return str(analyzed.request.request_id)

    async def _retry_own_limits(
        self, analyzed: AnalyzedRequest, started: float, share: Callable[[], Awaitable[Shared]]
    ) -> Shared:
        """Return the result of ``share``: of a call that another request may have begun.

        If the budget or rate limit of the other request refuses the call, this request tries
        again: it has budgets and limits of its own.
        """
        while True:
            try:
                return await share()
            except RoutingUnavailable as error:
                if error.recorded_for != analyzed.request.request_id:
                    await self._accounting.record_shared_failure(analyzed, error, started)
                raise
            except (BudgetExceeded, RateLimitExceeded) as error:
                if error.recorded_for == analyzed.request.request_id:
                    raise

    async def _open(
        self,
        analyzed: AnalyzedRequest,
        started: float,
        decided: Callable[[RoutingDecision], None],
    ) -> SharedStream:
        decision = reservation = None
        attempts: list[Attempt] = []
        try:
            if analyzed.request.client.tokens_per_minute is not None:
                await self._accounting.reserve_tokens(analyzed)
            reservation = await self._selector.reservation(analyzed)
            if reservation is not None:
                reservation.streamed = True
            decision = await self._selector.select(analyzed, started, reservation)
            decided(decision)
            if self._levers is not None and self._levers.active.any:
                analyzed = await self._levers.prepare(analyzed, decision)
            called = time.perf_counter()
            opened = await self._caller.open_stream(
                _chain(decision),
                analyzed.request.chat,
                attempts,
                reservation.authorize if reservation else None,
                analyzed.request.client.tenant,
            )
            return SharedStream(
                self._accounting,
                self._unfinished,
                UnfinishedCall(analyzed, started, opened.attempts, decision, reservation),
                decision,
                opened,
                CallClock(started, called),
                lambda recorded: self._remember(analyzed, recorded.result),
                self._stream_limits,
            )
        except BaseException as error:  # noqa: BLE001 - whatever it is, the call is settled
            # A client that left may have to pay for the call anyway.
            call = UnfinishedCall(analyzed, started, attempts, decision, reservation)
            raise await self._unfinished.end(call, error) from None

    async def _find_or_call(self, analyzed: AnalyzedRequest, started: float) -> CacheHit | Recorded:
        decision = reservation = completion = None
        attempts: list[Attempt] = []
        try:
            cached = await self._cache.find(analyzed)
            if cached is not None:
                if not cached.left_alone:
                    return cached
                assert cached.trial is not None
                analyzed = with_trial(analyzed, cached.trial)
            if analyzed.request.client.tokens_per_minute is not None:
                await self._accounting.reserve_tokens(analyzed)
            reservation = await self._selector.reservation(analyzed)
            decision = await self._selector.select(analyzed, started, reservation)
            if self._levers is not None and self._levers.active.any:
                analyzed = await self._levers.prepare(analyzed, decision)
            called = time.perf_counter()
            completion = await self._caller.call(
                _chain(decision),
                analyzed.request.chat,
                attempts,
                reservation.authorize if reservation else None,
                analyzed.request.client.tenant,
            )
            timing = CallClock(started, called).timing()
            recorded = await self._accounting.record_answer(
                analyzed, decision, completion, attempts, timing, reservation=reservation
            )
        except BaseException as error:  # noqa: BLE001 - whatever it is, the call is settled
            call = UnfinishedCall(analyzed, started, attempts, decision, reservation, completion)
            raise await self._unfinished.end(call, error) from None
        self._remember(analyzed, recorded.result)
        return recorded

    def _remember(self, analyzed: AnalyzedRequest, result: CompletionResult) -> None:
        try:
            self._remember_answer(analyzed, result)
        except (Exception, asyncio.CancelledError) as error:  # recorded, so it must be delivered
            logger.error("An answer could not be remembered", exc_info=error)

    def _remember_answer(self, analyzed: AnalyzedRequest, result: CompletionResult) -> None:
        self._cache.remember(analyzed, result)
        if analyzed.request.turn == KEEP_ALIVE:
            return
        if self._judge is not None:
            self._judge.consider(analyzed, result)
        if self._keep_alive is not None:
            self._keep_alive.remember(analyzed, result)
        completion = result.completion
        provider = self._caller.providers.get(completion.provider)
        # Input tokens include cached ones: with fewer, nothing can have been cached.
        if provider is not None and completion.usage.input_tokens >= LEAST_CACHED_TOKENS:
            chat, tenant = analyzed.request.chat, analyzed.request.client.tenant
            if chat.large:
                remember = asyncio.to_thread(
                    self._prompt_caches.remember, chat, provider.wire, completion, tenant
                )
                self._background.run(remember)
            else:
                self._prompt_caches.remember(chat, provider.wire, completion, tenant)


async def _own_result(recorded: Recorded) -> CompletionResult:
    return recorded.result


def _chain(decision: RoutingDecision) -> list[ModelRef]:
    """Return the models to try, best first."""
    fallbacks = map(_REF, decision.metadata["fallback_chain"])
    return [ModelRef(decision.provider, decision.model), *starmap(ModelRef, fallbacks)]
