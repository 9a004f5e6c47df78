"""What a request cost, what it saved, and its record: priced, written, summed up."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from analytics.ledger.ledger import Ledger, LedgerEntry
from analytics.ledger.savings import savings_of_call, savings_of_hit
from analytics.models import CachedResponse
from optimizer.access.rate_limits import RateLimits, tokens_of
from optimizer.domain.result import CompletionResult, RoutingUnavailable
from optimizer.gateway.recording.cached_answers import cached_completion
from optimizer.gateway.recording.decisions import as_served, cached_decision, why_failed
from optimizer.gateway.recording.ledger_entries import (
    Baseline,
    Charges,
    Recorder,
    RequestFacts,
    Timing,
    describe_attempts,
)
from optimizer.monitoring.observers import Observers
from providers.completion import Completion, Usage
from providers.pricing import PriceBook
from providers.resilience import Attempt
from routing.models import RoutingDecision

_ZERO = Decimal(0)
# Other endings (a content filter's, say) are one answer's bad luck, not worth repeating to all.
_CACHEABLE_ENDINGS = frozenset({"stop", "length", "tool_calls"})


@dataclass(frozen=True, slots=True)
class Booked:
    """What the client is told, and the answer as others may be given it."""

    result: CompletionResult
    entry: CachedResponse


def milliseconds_since(started: float) -> float:
    """Since ``started``, a reading of ``time.perf_counter``."""
    return (time.perf_counter() - started) * 1000


class Bookkeeper:
    """Prices and records what happened to a request; returns once the record is durable.

    Every method raises :class:`analytics.ledger.ledger.LedgerUnavailable` where it could
    not be recorded.
    """

    def __init__(
        self,
        prices: PriceBook,
        ledger: Ledger,
        recorder: Recorder,
        limits: RateLimits | None = None,
        observers: Observers | None = None,
    ) -> None:
        self._limits = limits
        self._observers = observers
        self._prices = prices
        self._ledger = ledger
        self._recorder = recorder
        self._spent_today: tuple[datetime, Decimal] | None = None

    async def answered(
        self,
        facts: RequestFacts,
        decision: RoutingDecision,
        completion: Completion,
        attempts: Sequence[Attempt],
        timing: Timing,
        *,
        cut_off: str = "",
    ) -> Booked:
        """A provider answered, after the failed ``attempts``; ``cut_off`` is why not to the end."""
        answer_cost = self._prices.cost(completion.provider, completion.model, completion.usage)
        charges = self._charges(answer_cost, attempts)
        baseline = self._baseline(facts, decision, completion, attempts)
        savings = savings_of_call(charges.cost, baseline.cost if baseline else None)
        served = as_served(decision, completion, attempts)
        cacheable = (
            facts.ask.cache.write
            and not cut_off
            and all(c.finish_reason in _CACHEABLE_ENDINGS for c in completion.choices)
        )
        entry, cached = self._recorder.answered(
            facts,
            served,
            completion,
            charges,
            baseline,
            savings,
            timing,
            answer_cost=answer_cost,
            prompt_cache_saved=self._saved_by_prompt_cache(completion, answer_cost),
            cacheable=cacheable,
            cut_off=cut_off,
        )
        total = await self._record(entry)
        if self._limits is not None:
            await self._limits.spend(facts.ask.client, tokens_of(completion.usage))
        result = CompletionResult(
            request_id=facts.request_id,
            completion=completion,
            decision=served,
            complexity=facts.analysis.complexity,
            token_count=facts.analysis.token_count,
            cost=charges.cost,
            total_cost_today=total,
            cache_hit=False,
            cache_key=facts.cache_key if cacheable else None,
            original_cost=answer_cost,
            savings=savings.total,
        )
        return Booked(result, cached)

    async def hit(
        self,
        facts: RequestFacts,
        entry: CachedResponse,
        started: float,
        likeness: float | None = None,
    ) -> CompletionResult:
        """``entry`` is given again, at no cost; ``likeness`` is that of the prompts, where
        they are not the same."""
        savings = savings_of_hit(entry.original_cost, entry.baseline_cost)
        decision = cached_decision(facts, entry, likeness)
        total = await self._record(
            self._recorder.hit(
                facts, decision, entry, savings, latency_ms=milliseconds_since(started)
            )
        )
        return CompletionResult(
            request_id=facts.request_id,
            completion=cached_completion(entry),
            decision=decision,
            complexity=facts.analysis.complexity,
            token_count=facts.analysis.token_count,
            cost=_ZERO,
            total_cost_today=total,
            cache_hit=True,
            cache_key=entry.cache_key,
            original_cost=entry.original_cost,
            savings=savings.cache,
            likeness=likeness,
        )

    async def failed(
        self,
        facts: RequestFacts,
        decision: RoutingDecision | None,
        attempts: Sequence[Attempt],
        started: float,
        detail: str = "",
    ) -> None:
        """Nobody answered."""
        entry = self._recorder.failed(
            facts,
            decision=decision,
            error_code=attempts[-1].error if attempts else "no_provider",
            error_detail=detail or why_failed(attempts),
            charges=self._charges(_ZERO, attempts),
            latency_ms=milliseconds_since(started),
        )
        await self._record(entry)

    async def failed_with_another(
        self, facts: RequestFacts, error: RoutingUnavailable, started: float
    ) -> None:
        """A request that waited for another's failed call: recorded, but charged only once."""
        unpaid = [replace(attempt, usage=None) for attempt in error.attempts]
        await self.failed(facts, None, unpaid, started, str(error))

    async def unheard(self, facts: RequestFacts, code: str, started: float) -> None:
        """A request that heard another's answer, but not to its end: at no cost."""
        attempts = [Attempt("", "", code, "the answer that was listened to did not end")]
        await self.failed(facts, None, attempts, started)

    async def _record(self, entry: LedgerEntry) -> Decimal | None:
        """Make ``entry`` durable; USD spent today after it, where known."""
        receipt = await self._ledger.record(entry)
        if self._observers is not None:
            self._observers.tell(entry)
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

    def _charges(self, answer_cost: Decimal | None, attempts: Sequence[Attempt]) -> Charges:
        """What the request cost in all: the answer and whatever failed attempts used up."""
        costs = [self._prices.charged(a.provider, a.model, a.usage) for a in attempts]
        failed = sum(costs, _ZERO)
        cost = None if answer_cost is None else answer_cost + failed
        return Charges(cost, failed, describe_attempts(attempts, costs))

    def _baseline(
        self,
        facts: RequestFacts,
        decision: RoutingDecision,
        completion: Completion,
        attempts: Sequence[Attempt],
    ) -> Baseline | None:
        """The model to compare with, priced on this request's tokens: the one that the client
        named, else complexity's choice among those that worked."""
        if facts.ask.baseline is not None:
            return self._priced(*facts.ask.baseline, completion.usage)
        failed = {(a.provider, a.model) for a in attempts}
        for ref in decision.metadata["baseline_chain"]:
            provider, model = ref["provider"], ref["model"]
            if (provider, model) not in failed:
                return self._priced(provider, model, completion.usage)
        return None

    def _priced(self, provider: str, model: str, usage: Usage) -> Baseline:
        cost = self._prices.cost(provider, model, usage)
        if cost is None:
            return Baseline(provider, model, None)
        asked = self._prices.cost(provider, model, replace(usage, output_tokens=0))
        return Baseline(provider, model, cost, None if asked is None else cost - asked)

    def _saved_by_prompt_cache(
        self, completion: Completion, cost: Decimal | None
    ) -> Decimal | None:
        """USD that the answer would have cost more without the provider's prompt cache; less
        than zero where writing to it cost more than reading from it saved."""
        usage = completion.usage
        if cost is None or not (usage.cache_read_tokens or usage.cache_write_tokens):
            return None if cost is None else _ZERO
        plain = Usage(usage.input_tokens, usage.output_tokens)
        without = self._prices.cost(completion.provider, completion.model, plain)
        return None if without is None else without - cost
