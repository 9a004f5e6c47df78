"""Calls of models for one request: money held, a model chosen, levers applied, the end settled."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import starmap
from operator import itemgetter

from optimizer.budgets.reservation import Reservation
from optimizer.domain.analyzed_request import AnalyzedRequest
from optimizer.domain.request import GatewayRequest
from optimizer.gateway.cache.lookup import AnswerCache, CacheHit
from optimizer.gateway.follow_ups import FollowUps
from optimizer.gateway.levers.cascade.lever import CascadeLever, CascadeRun
from optimizer.gateway.levers.plans import RequestLevers
from optimizer.gateway.model_selection import ModelSelector
from optimizer.gateway.recording.accounting import Accounting, Recorded
from optimizer.gateway.recording.timing import CallClock
from optimizer.gateway.recording.unfinished import UnfinishedCall, UnfinishedCalls
from optimizer.gateway.streaming.shared_stream import SharedStream, StreamLimits
from providers.completion import Completion
from providers.resilience import Attempt, Caller, ResilientCaller
from routing.models import ModelRef, RoutingDecision

_REF = itemgetter("provider", "model")


@dataclass(slots=True)
class _Call:
    """A request's call so far. ``run`` is its cascade, if several models may answer."""

    analyzed: AnalyzedRequest
    started: float
    decision: RoutingDecision | None = None
    reservation: Reservation | None = None
    run: CascadeRun | None = None
    attempts: list[Attempt] = field(default_factory=list)

    def take_recorded(self, decision: RoutingDecision) -> RoutingDecision:
        """Return the decision as it is to be recorded after the cascade; note its trial."""
        assert self.run is not None
        self.analyzed, self.decision = self.run.recorded(self.analyzed, decision)
        return self.decision

    def unfinished(self, completion: Completion | None = None) -> UnfinishedCall:
        """Return the call as one that is not recorded yet."""
        if self.run is not None and self.decision is not None:
            self.take_recorded(self.decision)
        return UnfinishedCall(
            self.analyzed, self.started, self.attempts, self.decision, self.reservation, completion
        )


class ModelCalls:
    """Answers a request by a model of its decision, whole or streamed."""

    def __init__(
        self,
        caller: ResilientCaller,
        selector: ModelSelector,
        accounting: Accounting,
        cache: AnswerCache,
        follow_ups: FollowUps,
        unfinished: UnfinishedCalls,
        stream_limits: StreamLimits,
        *,
        levers: RequestLevers | None = None,
        cascades: CascadeLever | None = None,
    ) -> None:
        self._caller = caller
        self._selector = selector
        self._accounting = accounting
        self._cache = cache
        self._follow_ups = follow_ups
        self._unfinished = unfinished
        self._stream_limits = stream_limits
        self._levers = levers
        self._cascades = cascades

    async def open_stream(
        self,
        analyzed: AnalyzedRequest,
        started: float,
        decided: Callable[[RoutingDecision], None],
    ) -> SharedStream:
        """Return the stream of a model's answer; ``decided`` is called with the decision first.

        Raises what :meth:`RoutingService.complete` raises.
        """
        call = _Call(analyzed, started)
        try:
            decision = await self._begin(call, streamed=True)
            called = time.perf_counter()
            if call.run is not None:
                opened = await call.run.walk.open_stream()
                decision = call.take_recorded(decision)
                decided(decision)
            else:
                decided(decision)
                request = call.analyzed.request
                opened = await self._caller_of(request).open_stream(
                    _chain(decision),
                    request.chat,
                    call.attempts,
                    call.reservation.authorize if call.reservation else None,
                    request.client.tenant,
                    first=request.first_tier,
                )
            analyzed = call.analyzed
            return SharedStream(
                self._accounting,
                self._unfinished,
                UnfinishedCall(analyzed, started, opened.attempts, decision, call.reservation),
                decision,
                opened,
                CallClock(started, called),
                lambda recorded: self._follow_ups.begin(analyzed, recorded.result),
                self._stream_limits,
            )
        except BaseException as error:  # noqa: BLE001 - whatever it is, the call is settled
            # A client that left may have to pay for the call anyway.
            raise await self._unfinished.end(call.unfinished(), error) from None

    async def find_or_complete(
        self, analyzed: AnalyzedRequest, started: float
    ) -> CacheHit | Recorded:
        """Return a cached answer, else a model's, which is recorded.

        Raises what :meth:`RoutingService.complete` raises.
        """
        call = _Call(analyzed, started)
        completion = None
        try:
            cached = await self._cache.find(analyzed)
            if cached is not None:
                if not cached.left_alone:
                    return cached
                call.analyzed = cached.tried(analyzed)
            decision = await self._begin(call)
            called = time.perf_counter()
            if call.run is not None:
                completion = await call.run.walk.complete()
                decision = call.take_recorded(decision)
                timing = call.run.timing(CallClock(started, called).timing())
            else:
                request = call.analyzed.request
                completion = await self._caller_of(request).call(
                    _chain(decision),
                    request.chat,
                    call.attempts,
                    call.reservation.authorize if call.reservation else None,
                    request.client.tenant,
                    first=request.first_tier,
                )
                timing = CallClock(started, called).timing()
            recorded = await self._accounting.record_answer(
                call.analyzed,
                decision,
                completion,
                call.attempts,
                timing,
                reservation=call.reservation,
            )
        except BaseException as error:  # noqa: BLE001 - whatever it is, the call is settled
            raise await self._unfinished.end(call.unfinished(completion), error) from None
        self._follow_ups.begin(call.analyzed, recorded.result)
        return recorded

    async def prepare(
        self, analyzed: AnalyzedRequest, decision: RoutingDecision
    ) -> AnalyzedRequest:
        """Return the request as the levers change it for its model."""
        if self._levers is not None and self._levers.needed:
            return await self._levers.prepare(analyzed, decision)
        return analyzed

    async def _begin(self, call: _Call, *, streamed: bool = False) -> RoutingDecision:
        """Hold what the call may use, decide, and let levers change the request."""
        if call.analyzed.request.client.tokens_per_minute is not None:
            await self._accounting.reserve_tokens(call.analyzed)
        reservation = call.reservation = await self._selector.reservation(call.analyzed)
        if reservation is not None:
            reservation.streamed = streamed
        decision = await self._selector.select(call.analyzed, call.started, reservation)
        call.decision = decision
        if self._levers is not None and self._levers.needed:
            call.analyzed = await self._levers.prepare(call.analyzed, decision)
            if self._cascades is not None and self._cascades.on:
                call.analyzed, call.run = await self._cascades.begin(
                    call.analyzed, decision, call.attempts, reservation
                )
        return decision

    def _caller_of(self, request: GatewayRequest) -> Caller:
        """Return what calls models: in rounds where they may ask for what was left out."""
        return self._caller if request.restoring is None else request.restoring(self._caller)


def _chain(decision: RoutingDecision) -> list[ModelRef]:
    """Return the models to try, best first."""
    fallbacks = map(_REF, decision.metadata["fallback_chain"])
    return [ModelRef(decision.provider, decision.model), *starmap(ModelRef, fallbacks)]
