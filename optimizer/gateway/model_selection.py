"""Selects the model that answers a request, within what its budgets allow."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from optimizer.budgets.concerns import must_refuse
from optimizer.budgets.reservation import Reservation
from optimizer.budgets.reservations import Budgets
from optimizer.domain.analyzed_request import AnalyzedRequest
from optimizer.domain.identifiers import NO_AGENTS
from optimizer.domain.request_bounds import stricter
from optimizer.domain.result import RoutingUnavailable
from optimizer.gateway.learned.answer_speeds import LearnedSpeeds
from optimizer.gateway.learned.output_lengths import OutputLengths
from optimizer.gateway.levers.ways import LeverWays, RequestWays, levers_used
from optimizer.gateway.model_options import AvailableModels
from optimizer.gateway.prompt_cache import PromptCaches
from optimizer.gateway.recording.accounting import Accounting
from optimizer.gateway.session_states import SessionStates
from providers.values import changed
from routing.engine import RoutingEngine
from routing.models import (
    CachedConversation,
    ModelRef,
    NoEligibleModel,
    RoutingContext,
    RoutingDecision,
    SessionState,
)

OverBudget = Mapping[ModelRef, str]
"""The (provider, model) pairs that budgets exclude, each with the reason."""
_NOTHING: OverBudget = {}


def as_named(analyzed: AnalyzedRequest) -> AnalyzedRequest:
    """Return a request that a rule left to routing as its client sent it: with its model."""
    request = analyzed.request
    chat = changed(request.chat, chosen=False)
    sent = replace(request, chat=chat, strategy="named", only=request.named, named=None)
    return replace(analyzed, request=sent)


class ModelSelector:
    """Selects models through the engine; records a request if no provider is configured."""

    def __init__(
        self,
        engine: RoutingEngine,
        options: AvailableModels,
        accounting: Accounting,
        prompt_caches: PromptCaches,
        budgets: Budgets | None,
        sessions: SessionStates | None = None,
        output_lengths: OutputLengths | None = None,
        speeds: LearnedSpeeds | None = None,
        ways: LeverWays | None = None,
    ) -> None:
        self._speeds = speeds
        self._ways = ways
        self._sessions = sessions
        self._output_lengths = output_lengths
        self._engine = engine
        self._options = options
        self._accounting = accounting
        self._prompt_caches = prompt_caches
        self._budgets = budgets

    def bounded(self, analyzed: AnalyzedRequest) -> bool:
        """Return whether the completion needs a limit on its tokens, so that its cost has one."""
        capped = analyzed.effect.cost_cap is not None or analyzed.request.max_cost is not None
        return capped or bool(
            self._budgets and self._budgets.any and self._budgets.concern(analyzed.request)
        )

    def preview(self, analyzed: AnalyzedRequest, *, afresh: bool = False) -> RoutingDecision:
        """Return the decision for a request now, without exploration and without budgets.

        ``afresh`` decides as if no provider had the conversation in its prompt cache.
        """
        context = self._context(analyzed, explore=False, afresh=afresh)
        return self._engine.route(
            context, strategy=analyzed.request.strategy, analysis=analyzed.analysis
        )

    async def reservation(self, analyzed: AnalyzedRequest) -> Reservation | None:
        """Return the reservation if a budget concerns the request."""
        if self._budgets is None or not self._budgets.any:
            return None
        if analyzed.request.chat.large:
            return await asyncio.to_thread(self._budgets.reservation, analyzed.request)
        return self._budgets.reservation(analyzed.request)

    async def select(
        self, analyzed: AnalyzedRequest, started: float, reservation: Reservation | None
    ) -> RoutingDecision:
        """Return the decision, with the money for its model held in ``reservation``.

        A budget without enough money left either refuses the request or restricts the choice
        to cheaper models. The caller releases the reservation if the request ends without a
        record. ``started`` is a reading of ``time.perf_counter``. Raises
        :class:`routing.models.NoEligibleModel`,
        :class:`optimizer.domain.result.RoutingUnavailable`,
        :class:`optimizer.domain.result.BudgetExceeded` and
        :class:`analytics.ledger.ledger.BudgetsUnavailable`.
        """
        sessions, session = self._sessions, None
        if analyzed.request.session.agent in NO_AGENTS:
            sessions = None
        if sessions is not None:
            ways = self._ways
            session = await sessions.find(analyzed, of_named=ways is not None and ways.active.any)
        if reservation is None:
            decision = await self._route(analyzed, started, session=session)
        else:
            decision = await self._affordable(analyzed, started, reservation, session)
        return decision if sessions is None else sessions.with_stall(analyzed, decision, session)

    async def _affordable(
        self,
        analyzed: AnalyzedRequest,
        started: float,
        reservation: Reservation,
        session: SessionState | None,
    ) -> RoutingDecision:
        only, source = analyzed.request.only, self._options
        options = source.options() if only is None else source.named(only)
        over_budget = reservation.over_budget(options)
        decision = await self._route(analyzed, started, over_budget, session)
        while refusals := await reservation.hold(decision.provider, decision.model):
            if must_refuse(refusals):
                raise reservation.exceeded(refusals)
            over_budget |= reservation.over_budget(options, refusals)
            try:
                decision = await self._route(analyzed, started, over_budget, session)
            except NoEligibleModel:
                raise reservation.exceeded(refusals) from None
        return decision

    async def _route(
        self,
        analyzed: AnalyzedRequest,
        started: float,
        over_budget: OverBudget = _NOTHING,
        session: SessionState | None = None,
    ) -> RoutingDecision:
        context_of = partial(
            self._context, analyzed, explore=True, over_budget=over_budget, session=session
        )
        # The needs and prefixes of a long conversation are found beside the event loop.
        large = analyzed.request.chat.large
        context = await asyncio.to_thread(context_of) if large else context_of()
        try:
            decision = self._engine.route(
                context, strategy=analyzed.request.strategy, analysis=analyzed.analysis
            )
            if context.variants is not None and "variant" in decision.metadata:
                decision = self._drawn(analyzed, context, decision)
            return decision
        except NoEligibleModel as error:
            if analyzed.request.named is not None:
                # A rule lifted the client's own choice; that choice can still be met.
                return await self._route(as_named(analyzed), started, over_budget, session)
            if error.excluded:
                raise
            message = (
                "Routing unavailable: no provider is configured. Set GEMINI_API_KEY, "
                "ANTHROPIC_API_KEY, OPENROUTER_API_KEY or OPENAI_API_KEY, or LOCAL_PROVIDER=on."
            )
            await self._accounting.record_failure(analyzed, None, (), started, message)
            raise RoutingUnavailable(message, recorded_for=analyzed.request.request_id) from None

    def _drawn(
        self, analyzed: AnalyzedRequest, context: RoutingContext, decision: RoutingDecision
    ) -> RoutingDecision:
        """Return the decision for the arms of the levers that ``decision``, the first one, uses.

        Without those whose arm is control, and with no others: what a request takes part in does
        not depend on its arms.
        """
        first = decision.metadata["variant"]
        used = levers_used(first)
        assert self._ways is not None
        draw, request = self._ways.active.draw, analyzed.request
        trials = {name: draw(name, request) for name in used}
        treated = frozenset(name for name, trial in trials.items() if trial and trial.treated)
        if len(treated) < len(used):
            assert isinstance(context.variants, RequestWays)
            context = replace(context, variants=context.variants.only(treated))
            decision = self._engine.route(
                context, strategy=request.strategy, analysis=analyzed.analysis
            )
        return replace(decision, metadata={**decision.metadata, "first_choice": first})

    def _context(
        self,
        analyzed: AnalyzedRequest,
        *,
        explore: bool,
        over_budget: OverBudget = _NOTHING,
        session: SessionState | None = None,
        afresh: bool = False,
    ) -> RoutingContext:
        request = analyzed.request
        cached = None
        if session is not None:
            cached = CachedConversation(
                session.provider,
                session.model,
                session.cached_tokens,
                session.effort,
                session.service_tier,
            )
        elif len(request.chat.messages) > 1 and not afresh:
            cached = self._prompt_caches.find(request.chat, request.client.tenant)
        reasoning = request.chat.reasoning
        effort = "" if reasoning is None else reasoning.level
        latency, cap = request.max_latency, analyzed.effect.latency_cap
        ways = self._ways
        return RoutingContext(
            prompt=request.prompt,
            user_id=request.user_id or None,
            session_id=request.session.id or None,
            available_providers=self._options.available_providers(),
            max_cost=stricter(request.max_cost, analyzed.effect.cost_cap, min),
            min_quality=stricter(request.min_quality, analyzed.effect.quality_target, max),
            max_tokens=request.max_tokens,
            output_limit=request.chat.max_tokens or 0,
            required_capabilities=frozenset(request.needs),
            explore=explore,
            only=request.only,
            cached_conversation=cached,
            effect=analyzed.effect,
            over_budget=over_budget,
            cooling=self._options.cooling(),
            session=session,
            turn=request.turn,
            output_tokens=self._output_lengths.usual(request)
            if self._output_lengths is not None and self._output_lengths.known
            else None,
            speed=self._speeds.at(effort)
            if self._speeds is not None and self._speeds.known
            else None,
            # Most requests have no limit: no call for them.
            max_latency=latency if cap is None else stricter(latency, cap, min),
            effort=effort,
            variants=ways.of(request) if ways is not None and ways.active.any else None,
        )
