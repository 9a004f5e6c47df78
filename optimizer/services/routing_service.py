"""One request from prompt to answer: cache, route, call, price, record."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from analytics.cache import CacheReader, cache_key
from analytics.ledger import Ledger, LedgerEntry
from analytics.metrics import routing_metrics
from analytics.models import CachedResponse
from analytics.savings import savings_of_call, savings_of_hit
from optimizer.identifiers import new_request_id
from optimizer.services.narration import as_served, cached_decision, why_failed
from optimizer.services.options import CatalogueOptions
from optimizer.services.recording import (
    Baseline,
    Charges,
    Recorder,
    RequestFacts,
    describe_attempts,
)
from optimizer.services.results import CompletionResult, RoutingUnavailable
from optimizer.services.single_flight import SingleFlight
from providers.base import Completion, CompletionRequest
from providers.chat import Chat
from providers.pricing import PriceBook
from providers.resilience import AllProvidersFailed, Attempt, Outcome, ResilientCaller
from routing.engine import RoutingEngine
from routing.models import NoEligibleModel, RoutingContext, RoutingDecision

_ZERO = Decimal(0)
# Other endings (a content filter's, say) are one answer's bad luck, not worth repeating to all.
_CACHEABLE_ENDINGS = frozenset({"stop", "length"})


@dataclass(frozen=True, slots=True)
class _Landed:
    """What a flight brings home: the shareable answer, and the leader's own result if fresh."""

    entry: CachedResponse
    fresh: CompletionResult | None


class RoutingService:
    """The gateway's core. One per process; safe for concurrent use."""

    def __init__(
        self,
        *,
        engine: RoutingEngine,
        options: CatalogueOptions,
        caller: ResilientCaller,
        prices: PriceBook,
        ledger: Ledger,
        cache: CacheReader | None,
        recorder: Recorder,
    ) -> None:
        self._engine = engine
        self._options = options
        self._caller = caller
        self._prices = prices
        self._ledger = ledger
        self._cache = cache
        self._recorder = recorder
        self._flights: SingleFlight[_Landed] = SingleFlight()
        self._spent_today: tuple[datetime, Decimal] | None = None

    async def route_and_complete(
        self,
        prompt: str,
        *,
        max_tokens: int = 1000,
        auto_route: bool = False,
        user_id: str = "",
        session_id: str = "",
        request_id: uuid.UUID | None = None,
        asked_at: datetime | None = None,
    ) -> CompletionResult:
        """Answer ``prompt`` and record it; returns once the record is durable.

        ``asked_at`` (aware) is when it was asked, if not now.
        Raises :class:`RoutingUnavailable` when no provider answers,
        :class:`routing.models.NoEligibleModel` when none can serve such a
        request, :class:`analytics.ledger.LedgerUnavailable` when the answer
        could not be recorded.
        """
        started = time.perf_counter()
        facts = RequestFacts(
            request_id=request_id or new_request_id(),
            created_at=asked_at or datetime.now(UTC),
            prompt=prompt,
            max_tokens=max_tokens,
            auto_route=auto_route,
            analysis=self._engine.analyze(prompt),
            cache_key=cache_key(prompt, max_tokens=max_tokens, auto_route=auto_route),
            user_id=user_id,
            session_id=session_id,
        )
        # Without a cache nobody may be given another's answer, so the key is the request's own.
        shared = facts.cache_key if self._cache else str(facts.request_id)
        try:
            landed, leads = await self._flights.run(shared, lambda: self._fly(facts, started))
        except RoutingUnavailable as error:
            if error.recorded_for != facts.request_id:
                await self._record_shared_failure(facts, error, started)
            raise
        if leads and landed.fresh is not None:
            return landed.fresh
        return await self._serve_hit(facts, landed.entry, started)

    def get_recommendation(self, prompt: str, *, max_tokens: int = 1000) -> RoutingDecision:
        """What hybrid routing would choose. Calls nobody, records nothing."""
        return self.decide(prompt, max_tokens=max_tokens, auto_route=True)

    def decide(
        self, prompt: str, *, max_tokens: int = 1000, auto_route: bool = True
    ) -> RoutingDecision:
        """The decision that ``route_and_complete`` would take now, past the cache."""
        context = self._context(prompt, max_tokens)
        return self._engine.route(context, auto_route=auto_route)

    @staticmethod
    def get_routing_metrics(days: int = 7) -> dict[str, Any]:
        """Savings and averages of the last ``days`` days. Reads the database: not for the loop."""
        return routing_metrics(days)

    async def drain(self) -> None:
        """Wait for calls in flight, so that none goes unrecorded at shutdown."""
        await self._flights.drain()

    # --- a fresh answer -----------------------------------------------------------

    async def _fly(self, facts: RequestFacts, started: float) -> _Landed:
        if self._cache is not None:
            entry = await self._cache.find(facts.cache_key)
            if entry is not None:
                return _Landed(entry, fresh=None)
        decision = await self._decide_or_record(facts, started)
        chain = [(decision.provider, decision.model)] + [
            (ref["provider"], ref["model"]) for ref in decision.metadata["fallback_chain"]
        ]
        called = time.perf_counter()
        try:
            outcome = await self._caller.call(
                chain,
                lambda model: CompletionRequest(
                    model, Chat.of_prompt(facts.prompt, facts.max_tokens)
                ),
            )
        except AllProvidersFailed as error:
            await self._record_failure(facts, decision, error.attempts, started)
            raise RoutingUnavailable(
                "Routing unavailable: every provider failed.",
                recorded_for=facts.request_id,
                attempts=error.attempts,
                deadline_passed=error.deadline_passed,
            ) from None
        return await self._land(facts, decision, outcome, started, called)

    async def _land(
        self,
        facts: RequestFacts,
        decision: RoutingDecision,
        outcome: Outcome,
        started: float,
        called: float,
    ) -> _Landed:
        now = time.perf_counter()
        completion = outcome.completion
        answer_cost = self._prices.cost(completion.provider, completion.model, completion.usage)
        charges = self._charges(answer_cost, outcome.attempts)
        baseline = self._baseline(decision, completion, outcome.attempts)
        savings = savings_of_call(charges.cost, baseline.cost if baseline else None)
        served = as_served(decision, completion, outcome.attempts)
        entry, cached = self._recorder.answered(
            facts,
            served,
            completion,
            charges,
            baseline,
            savings,
            answer_cost=answer_cost,
            latency_ms=(now - started) * 1000,
            provider_ms=(now - called) * 1000,
            cacheable=self._cache is not None and completion.finish_reason in _CACHEABLE_ENDINGS,
        )
        total = await self._record(entry)
        return _Landed(
            cached,
            CompletionResult(
                request_id=facts.request_id,
                response=completion.text,
                decision=served,
                provider=completion.provider,
                model=completion.model,
                complexity=facts.analysis.complexity,
                token_count=facts.analysis.token_count,
                tokens_in=completion.usage.input_tokens,
                tokens_out=completion.usage.output_tokens,
                cost=charges.cost,
                total_cost_today=total,
                cache_hit=False,
                cache_key=facts.cache_key if entry.cache_store else None,
                original_cost=answer_cost,
                savings=savings.total,
            ),
        )

    async def _decide_or_record(self, facts: RequestFacts, started: float) -> RoutingDecision:
        context = replace(
            self._context(facts.prompt, facts.max_tokens),
            user_id=facts.user_id or None,
            session_id=facts.session_id or None,
            explore=True,
        )
        try:
            return self._engine.route(context, auto_route=facts.auto_route, analysis=facts.analysis)
        except NoEligibleModel as error:
            if error.excluded:
                raise
            message = (
                "Routing unavailable: no provider is configured. Set GEMINI_API_KEY, "
                "ANTHROPIC_API_KEY, OPENROUTER_API_KEY or OPENAI_API_KEY, or LOCAL_PROVIDER=on."
            )
            await self._record_failure(facts, None, (), started, message)
            raise RoutingUnavailable(message, recorded_for=facts.request_id) from None

    def _context(self, prompt: str, max_tokens: int) -> RoutingContext:
        return RoutingContext(
            prompt=prompt,
            available_providers=self._options.available_providers(),
            max_tokens=max_tokens,
        )

    def _charges(self, answer_cost: Decimal | None, attempts: Sequence[Attempt]) -> Charges:
        """What the request cost in all: the answer and whatever failed attempts used up."""
        costs = [
            (self._prices.cost(a.provider, a.model, a.usage) or _ZERO) if a.usage else _ZERO
            for a in attempts
        ]
        failed = sum(costs, _ZERO)
        cost = None if answer_cost is None else answer_cost + failed
        return Charges(cost, failed, describe_attempts(attempts, costs))

    def _baseline(
        self, decision: RoutingDecision, completion: Completion, attempts: Sequence[Attempt]
    ) -> Baseline | None:
        """Complexity's choice among the models that worked, priced on this request's tokens."""
        failed = {(a.provider, a.model) for a in attempts}
        for ref in decision.metadata["baseline_chain"]:
            provider, model = ref["provider"], ref["model"]
            if (provider, model) not in failed:
                cost = self._prices.cost(provider, model, completion.usage)
                return Baseline(provider, model, cost)
        return None

    # --- an answer given before ---------------------------------------------------

    async def _serve_hit(
        self, facts: RequestFacts, entry: CachedResponse, started: float
    ) -> CompletionResult:
        savings = savings_of_hit(entry.original_cost, entry.baseline_cost)
        decision = cached_decision(facts, entry)
        ledger_entry = self._recorder.hit(
            facts, decision, entry, savings, latency_ms=(time.perf_counter() - started) * 1000
        )
        total = await self._record(ledger_entry)
        return CompletionResult(
            request_id=facts.request_id,
            response=entry.response,
            decision=decision,
            provider=entry.provider,
            model=entry.model,
            complexity=facts.analysis.complexity,
            token_count=facts.analysis.token_count,
            tokens_in=entry.tokens_in,
            tokens_out=entry.tokens_out,
            cost=_ZERO,
            total_cost_today=total,
            cache_hit=True,
            cache_key=facts.cache_key,
            original_cost=entry.original_cost,
            savings=savings.cache,
        )

    # --- recording ----------------------------------------------------------------

    async def _record(self, entry: LedgerEntry) -> Decimal | None:
        """Make ``entry`` durable; USD spent today after it, where known."""
        receipt = await self._ledger.record(entry)
        today = entry.request.created_at
        if receipt.total_cost_today is not None:
            self._spent_today = (today, receipt.total_cost_today)
        elif self._spent_today is not None and self._spent_today[0].date() == today.date():
            # The database is away: count on from the last sum it gave.
            spent = self._spent_today[1] + (entry.request.cost or _ZERO)
            self._spent_today = (today, spent)
        else:
            return None
        return self._spent_today[1]

    async def _record_failure(
        self,
        facts: RequestFacts,
        decision: RoutingDecision | None,
        attempts: Sequence[Attempt],
        started: float,
        detail: str = "",
    ) -> None:
        entry = self._recorder.failed(
            facts,
            decision=decision,
            error_code=attempts[-1].error if attempts else "no_provider",
            error_detail=detail or why_failed(attempts),
            charges=self._charges(_ZERO, attempts),
            latency_ms=(time.perf_counter() - started) * 1000,
        )
        await self._record(entry)

    async def _record_shared_failure(
        self, facts: RequestFacts, error: RoutingUnavailable, started: float
    ) -> None:
        """A request that waited for another's failed call: recorded, but charged only once."""
        unpaid = [replace(attempt, usage=None) for attempt in error.attempts]
        await self._record_failure(facts, None, unpaid, started, str(error))
