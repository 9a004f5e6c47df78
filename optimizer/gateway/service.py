"""One request from prompt to answer: cache, route, call, price, record."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from analytics.cache import cache_key
from analytics.reports.compared import ComparedWith
from analytics.reports.sum_sources import CachedSums
from analytics.reports.usage import routing_metrics
from optimizer.access.rate_limits import RateLimitExceeded
from optimizer.budgets.reservation import Reservation
from optimizer.budgets.reservations import Budgets
from optimizer.domain.analyzed_request import AnalyzedRequest
from optimizer.domain.client import ANONYMOUS, Client
from optimizer.domain.request import GatewayRequest
from optimizer.domain.request_bounds import apply_client, within_latency
from optimizer.domain.result import BudgetExceeded, CompletionResult, RoutingUnavailable
from optimizer.gateway.cache.lookup import AnswerCache, CacheHit
from optimizer.gateway.follow_ups import NO_WATCHERS, FollowUps, Watchers
from optimizer.gateway.guardrails.guard import GuardRails
from optimizer.gateway.keep_alive import CacheKeeper
from optimizer.gateway.learned.answer_speeds import LearnedSpeeds
from optimizer.gateway.learned.output_lengths import OutputLengths
from optimizer.gateway.levers.cascade.lever import CascadeLever
from optimizer.gateway.levers.plans import RequestLevers
from optimizer.gateway.levers.ways import LeverWays
from optimizer.gateway.model_calls import ModelCalls
from optimizer.gateway.model_options import AvailableModels
from optimizer.gateway.model_selection import ModelSelector
from optimizer.gateway.previews import DecisionPreviews
from optimizer.gateway.prompt_cache import PromptCaches
from optimizer.gateway.recording.accounting import Accounting, Recorded
from optimizer.gateway.recording.decisions import shared_decision
from optimizer.gateway.recording.unfinished import UnfinishedCall, UnfinishedCalls
from optimizer.gateway.request_analyzer import RequestAnalyzer
from optimizer.gateway.session_states import SessionStates
from optimizer.gateway.single_flight import SingleFlight
from optimizer.gateway.streaming.client_stream import ClientStream, leave_opening
from optimizer.gateway.streaming.shared_stream import STREAM_LIMITS, StreamLimits
from optimizer.gateway.streaming.streams_in_progress import SharedStreams
from optimizer.policies.experiments import Experiments
from optimizer.policies.rules import ActiveRules
from optimizer.shared.tasks import Background
from providers import features
from providers.chat import Chat
from providers.resilience import ResilientCaller
from routing.engine import RoutingEngine
from routing.models import RoutingDecision

logger = logging.getLogger(__name__)
Shared = TypeVar("Shared")
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
        watchers: Watchers = NO_WATCHERS,
        experiments: Experiments | None = None,
        budgets: Budgets | None = None,
        sessions: SessionStates | None = None,
        output_lengths: OutputLengths | None = None,
        levers: RequestLevers | None = None,
        cascades: CascadeLever | None = None,
        speeds: LearnedSpeeds | None = None,
        ways: LeverWays | None = None,
        stream_limits: StreamLimits = STREAM_LIMITS,
        keep_alive: CacheKeeper | None = None,
        most_abandoned: int = 0,
        guard: GuardRails | None = None,
    ) -> None:
        self._options = options
        self._accounting = accounting
        self._cache = cache
        prompt_caches = PromptCaches()
        self._selector = ModelSelector(
            engine,
            options,
            accounting,
            prompt_caches,
            budgets,
            sessions,
            output_lengths,
            speeds,
            ways,
        )
        self._analyzer = RequestAnalyzer(
            rules,
            experiments,
            watchers.autopilot,
            caching=cache.on,
            bounded=self._selector.bounded,
            guard=guard,
        )
        self.previews = DecisionPreviews(self._analyzer, self._selector)
        self._follow_ups = FollowUps(
            cache,
            prompt_caches,
            caller.wire_of,
            as_routed=self.previews.as_routed,
            afresh=self.previews.afresh,
            watchers=watchers,
            keep_alive=keep_alive,
        )
        self._flights: SingleFlight[CacheHit | Recorded] = SingleFlight(most_abandoned)
        self._streams = SharedStreams()
        self._background = Background()
        self._unfinished = UnfinishedCalls(accounting)
        self._calls = ModelCalls(
            caller,
            self._selector,
            accounting,
            cache,
            self._follow_ups,
            self._unfinished,
            stream_limits,
            levers=levers,
            cascades=cascades,
        )

    def watch(self, watchers: Watchers) -> None:
        """Have ``watchers`` judge answers from now on."""
        self._analyzer.autopilot = watchers.autopilot
        self._follow_ups.watch(watchers)

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
        return await self.complete(
            self.request_of_prompt(
                prompt, max_tokens=max_tokens, auto_route=auto_route, max_latency=max_latency,
                client=client, **fields,
            )
        )  # fmt: skip

    def request_of_prompt(
        self,
        prompt: str,
        *,
        max_tokens: int = 1000,
        auto_route: bool = False,
        max_latency: float | None = None,
        client: Client = ANONYMOUS,
        **fields: Any,
    ) -> GatewayRequest:
        """Return the request that :meth:`route_and_complete` answers."""
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
        return apply_client(request, client)

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
        analyzed = await self._analyzer.analyze_aside(request)
        key = self._shared_key(analyzed)
        answer, leads = await self._retry_own_limits(
            analyzed,
            started,
            lambda: self._flights.run(
                key,
                lambda: self._calls.find_or_complete(analyzed, started),
                analyzed.request.client.tenant,
            ),
        )
        if isinstance(answer, CacheHit):
            entry, likeness = answer.entry, answer.likeness
            if leads:
                analyzed = answer.tried(analyzed)
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
        analyzed = await self._analyzer.analyze_aside(request)
        try:
            cached = await self._cache.find(analyzed)
        except BaseException as error:  # noqa: BLE001 - whatever it is, the call is settled
            raise await self._unfinished.end(UnfinishedCall(analyzed, started), error) from None
        if cached is not None:
            analyzed = cached.tried(analyzed)
            if not cached.left_alone:
                result = await self._accounting.record_hit(
                    analyzed, cached.entry, started, cached.likeness
                )
                return ClientStream.of_cached(result)
        key = self._shared_key(analyzed)
        shared, leads = await self._retry_own_limits(
            analyzed,
            started,
            lambda: self._streams.join(
                key, lambda: self._calls.open_stream(analyzed, started, decided)
            ),
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
        return self.previews.decide(
            prompt,
            max_tokens=max_tokens,
            auto_route=True,
            max_latency=max_latency,
            effort=effort,
            client=client,
        )

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

    async def analyze(self, request: GatewayRequest) -> AnalyzedRequest:
        """Return a request with its analysis, the rules' effect on it and its experiment."""
        return await self._analyzer.analyze_aside(request)

    async def has_cached(self, analyzed: AnalyzedRequest) -> bool:
        """Return whether :meth:`complete` would answer from the cache.

        Raises :class:`optimizer.domain.result.NotCached`.
        """
        return await self._cache.find(analyzed) is not None

    async def choose(self, analyzed: AnalyzedRequest) -> tuple[RoutingDecision, Reservation | None]:
        """Return the model that is to answer, and the money that is held for its call.

        The caller releases the money if it is not used. Raises what :meth:`complete` raises
        before a call.
        """
        started = time.perf_counter()
        reservation = None
        try:
            reservation = await self._selector.reservation(analyzed)
            decision = await self._selector.select(analyzed, started, reservation)
        except BaseException as error:  # noqa: BLE001 - whatever it is, what is held is given back
            call = UnfinishedCall(analyzed, started, reservation=reservation)
            raise await self._unfinished.end(call, error) from None
        return decision, reservation

    async def prepare(
        self, analyzed: AnalyzedRequest, decision: RoutingDecision
    ) -> AnalyzedRequest:
        """Return the request as the levers change it for its model."""
        return await self._calls.prepare(analyzed, decision)

    def follow(self, analyzed: AnalyzedRequest, result: CompletionResult) -> None:
        """Begin what follows an answer that was recorded elsewhere. Never raises."""
        self._follow_ups.begin(analyzed, result)

    async def drain(self) -> None:
        """Wait for calls in progress, so that all of them are recorded before shutdown."""
        await self._flights.drain()
        await self._streams.drain()
        await self._background.drain()
        await self._unfinished.drain()
        await self._follow_ups.drain()

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


async def _own_result(recorded: Recorded) -> CompletionResult:
    return recorded.result
