"""Accounting: prices requests, computes what they saved, and records them in the ledger."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Protocol

from analytics.deferred.outcomes import DeferredOutcome
from analytics.ledger.ledger import Ledger, LedgerEntry, Observer
from analytics.ledger.savings import savings_of_call, savings_of_hit
from analytics.ledger.session_states import SessionTurn
from analytics.models import CachedResponse
from optimizer.access.rate_limits import RateLimits, tokens_of
from optimizer.budgets.reservation import Reservation
from optimizer.domain.analyzed_request import AnalyzedRequest
from optimizer.domain.identifiers import NO_AGENTS
from optimizer.domain.result import CompletionResult, RoutingUnavailable
from optimizer.domain.turns import KEEP_ALIVE
from optimizer.gateway.recording.baseline_costs import baseline_cost, saved_by_prompt_cache
from optimizer.gateway.recording.cached_answers import (
    cached_completion,
    may_be_given_again,
    passed_rails,
)
from optimizer.gateway.recording.decisions import cached_decision, failure_summary, served_decision
from optimizer.gateway.recording.deferred_answers import BATCH_TIER, answered_outcome
from optimizer.gateway.recording.json_columns import describe_attempts, describe_rails
from optimizer.gateway.recording.ledger_entries import LedgerEntryBuilder
from optimizer.gateway.recording.priced_answer import Charges, PricedAnswer
from optimizer.gateway.recording.timing import Timing, milliseconds_since
from optimizer.pricing.baseline_choice import BaselineChoice
from providers.attempts import UNSERVED
from providers.chat import Chat
from providers.completion import Completion, Usage
from providers.pricing import CallPrice, PriceBook
from providers.resilience import Attempt
from providers.token_density import TokenDensity
from providers.values import frozen
from routing.models import RoutingDecision

logger = logging.getLogger(__name__)

_ZERO = Decimal(0)
_UNKNOWN = CallPrice(None, "unknown")


@frozen
class Recorded:
    """The result for the client, and the cache entry from which others may get the answer."""

    result: CompletionResult
    entry: CachedResponse


def notify(observers: Sequence[Observer], entry: LedgerEntry) -> None:
    """Call each observer of recorded requests; an error in one does not affect the others."""
    for observer in observers:
        try:
            observer(entry)
        except Exception as error:  # the answer is paid for and recorded, so it must be delivered
            logger.error(
                "A request could not be counted in metrics or the live page", exc_info=error
            )


def _answered(
    analyzed: AnalyzedRequest, served: RoutingDecision, answer: PricedAnswer, total: Decimal | None
) -> CompletionResult:
    """Return the result of a provider's answer; ``total`` is what was spent today, in USD."""
    return CompletionResult(
        request_id=analyzed.request.request_id,
        completion=answer.completion,
        decision=served,
        complexity=analyzed.analysis.complexity,
        token_count=analyzed.analysis.token_count,
        cost=answer.charges.cost,
        total_cost_today=total,
        cache_hit=False,
        cache_key=analyzed.request.cache_key if answer.cacheable else None,
        original_cost=answer.price.cost,
        savings=answer.savings.total,
        price_basis=answer.price.basis,
        list_cost=answer.price.listed,
    )


class SessionMemory(Protocol):
    """Says what a session remembers of an answer."""

    def turn_of(
        self, analyzed: AnalyzedRequest, decision: RoutingDecision, completion: Completion
    ) -> SessionTurn | None:
        """Return what the session remembers of an answer, ``None`` for nothing."""
        ...


class Accounting:
    """Prices and records requests. Each method returns once the record is durable.

    Every method raises :class:`analytics.ledger.ledger.LedgerUnavailable` if the record cannot
    be stored. ``started`` is always a reading of ``time.perf_counter``.
    """

    def __init__(
        self,
        prices: PriceBook,
        ledger: Ledger,
        entries: LedgerEntryBuilder,
        limits: RateLimits | None = None,
        observers: Sequence[Observer] = (),
        baselines: BaselineChoice | None = None,
        sessions: SessionMemory | None = None,
        density: TokenDensity | None = None,
    ) -> None:
        self._sessions = sessions
        self._density = density or TokenDensity()
        self._limits = limits
        self._baselines = baselines
        self._observers = observers
        self._prices = prices
        self._ledger = ledger
        self._entries = entries
        self._spent_today: dict[str, tuple[datetime, Decimal]] = {}

    async def record_answer(
        self,
        analyzed: AnalyzedRequest,
        decision: RoutingDecision,
        completion: Completion,
        attempts: Sequence[Attempt],
        timing: Timing,
        *,
        cut_off: str = "",
        reservation: Reservation | None = None,
    ) -> Recorded:
        """Record a provider's answer that followed the failed ``attempts``.

        ``cut_off`` is the error code of an answer that broke off, "" for a complete one.
        ``reservation`` is the money that is held for the request.
        """
        usage = completion.usage
        model, chat = (completion.provider, completion.model), analyzed.request.chat
        if usage.estimated:
            usage = self._density.corrected(*model, chat, usage)
            completion = replace(completion, usage=usage)
        elif not (usage.unreported or usage.beside) and completion.choices[0].parts:
            self._density.learn(*model, chat, usage)
        attempts = self._corrected(attempts, chat)
        price = _UNKNOWN
        if not usage.unreported:  # else it goes on in the background
            price = self._prices.price(completion.provider, completion.model, usage)
        answer_cost = price.cost
        charges = self._charges(answer_cost, attempts)
        if reservation is not None:
            reservation.note_answer(usage, charges.cost)
        baseline = baseline_cost(
            self._prices, self._baselines, analyzed, decision, completion, attempts, answer_cost
        )
        savings = savings_of_call(charges.cost, baseline.cost if baseline else None)
        served = decision
        if (completion.provider, completion.model) != (decision.provider, decision.model):
            served = served_decision(decision, completion, attempts)
        cacheable = analyzed.request.cache.write and not cut_off and passed_rails(attempts)
        for choice in completion.choices:
            cacheable = cacheable and may_be_given_again(choice, analyzed.request.chat)
        saved = saved_by_prompt_cache(self._prices, completion, answer_cost)
        if analyzed.request.turn == KEEP_ALIVE and answer_cost is not None:
            saved = -answer_cost  # without the cache, nobody would have asked
        answer = PricedAnswer(
            completion, price, charges, baseline, savings, saved, cacheable, cut_off
        )
        entry, cached = self._entries.for_answer(analyzed, served, answer, timing)
        if self._sessions is not None and analyzed.request.session.agent not in NO_AGENTS:
            turn = self._sessions.turn_of(analyzed, served, completion)
            entry = replace(entry, session_state=turn)
        result_with = partial(_answered, analyzed, served, answer)
        entry = self._with_outcome(entry, analyzed, result_with)
        try:
            total = await self._record(entry)
        finally:
            if analyzed.request.client.tokens_per_minute is not None:
                await self.settle_tokens(analyzed, attempts, completion.usage)
        return Recorded(result_with(total), cached)

    async def record_hit(
        self,
        analyzed: AnalyzedRequest,
        entry: CachedResponse,
        started: float,
        likeness: float | None = None,
    ) -> CompletionResult:
        """Record an answer that is given from the cache, at no cost.

        ``likeness`` is the similarity of the prompts (-1 to 1), ``None`` if they are the same.
        """
        savings = savings_of_hit(entry.original_cost, entry.baseline_cost)
        decision = cached_decision(analyzed, entry, likeness)
        hit = self._entries.for_hit(
            analyzed, decision, entry, savings, latency_ms=milliseconds_since(started)
        )
        completion = cached_completion(entry)

        def result_with(total: Decimal | None) -> CompletionResult:
            return CompletionResult(
                request_id=analyzed.request.request_id,
                completion=completion,
                decision=decision,
                complexity=analyzed.analysis.complexity,
                token_count=analyzed.analysis.token_count,
                cost=_ZERO,
                total_cost_today=total,
                cache_hit=True,
                cache_key=entry.cache_key,
                original_cost=entry.original_cost,
                savings=savings.cache,
                likeness=likeness,
            )

        hit = self._with_outcome(hit, analyzed, result_with)
        return result_with(await self._record(hit))

    async def record_failure(
        self,
        analyzed: AnalyzedRequest,
        decision: RoutingDecision | None,
        attempts: Sequence[Attempt],
        started: float,
        detail: str = "",
        *,
        code: str = "",
        unpriced: bool = False,
        outcome: DeferredOutcome | None = None,
    ) -> None:
        """Record a request that no provider answered; ``detail`` says why, beside ``attempts``.

        ``code`` is the error code, by default that of the last attempt. ``unpriced`` records
        the cost as unknown, as it cannot be computed. ``outcome`` ends a deferred request.
        """
        attempts = self._corrected(attempts, analyzed.request.chat)
        zeros = [_ZERO] * len(attempts)
        entry = self._entries.for_failure(
            analyzed,
            decision=decision,
            error_code=code or (attempts[-1].error if attempts else "no_provider"),
            error_detail=detail or failure_summary(attempts),
            charges=Charges(
                None,
                _ZERO,
                describe_attempts(attempts, zeros),
                describe_rails(attempts, zeros),
            )
            if unpriced
            else self._charges(_ZERO, attempts),
            latency_ms=milliseconds_since(started),
        )
        if outcome is not None:
            entry = replace(entry, outcome=outcome)
        await self._record(entry)
        if analyzed.request.client.tokens_per_minute is not None:
            await self.settle_tokens(analyzed, attempts)

    def _with_outcome(
        self,
        entry: LedgerEntry,
        analyzed: AnalyzedRequest,
        result_with: Callable[[Decimal | None], CompletionResult],
    ) -> LedgerEntry:
        """Return ``entry`` with the end of the deferred request that it answers, if it does.

        ``result_with`` returns the result with what was spent today.
        """
        deferred = analyzed.request.deferred
        if deferred is None:
            return entry
        result = result_with(None)
        completion = result.completion
        usage = completion.usage
        list_cost = result.cost
        if usage.service_tier == BATCH_TIER:
            alone = replace(usage, service_tier="")
            list_cost = self._prices.cost(completion.provider, completion.model, alone)
        return replace(entry, outcome=answered_outcome(deferred, result, list_cost))

    async def reserve_tokens(self, analyzed: AnalyzedRequest, most: int = 0) -> None:
        """Take the tokens that a request may use from its key's limit.

        They are ``most``, by default the estimated input and the limit of the completion.
        Raises :class:`optimizer.access.rate_limits.RateLimitExceeded`.
        """
        request = analyzed.request
        if self._limits is not None:
            most = most or analyzed.analysis.token_count + request.max_tokens * request.chat.n
            await self._limits.reserve(request.client, request.request_id, most)

    async def settle_tokens(
        self,
        analyzed: AnalyzedRequest,
        attempts: Sequence[Attempt] = (),
        usage: Usage | None = None,
    ) -> None:
        """Count the tokens that a request used, in place of what it has taken."""
        usages = [usage, *(attempt.usage for attempt in attempts)]
        tokens = sum(map(tokens_of, filter(None, usages)))
        if self._limits is not None:
            request = analyzed.request
            await self._limits.settle(request.client, request.request_id, tokens)

    async def record_shared_failure(
        self, analyzed: AnalyzedRequest, error: RoutingUnavailable, started: float
    ) -> None:
        """Record a request that waited for another request's failed call, which is charged once."""
        unpaid = [replace(attempt, usage=None) for attempt in error.attempts]
        await self.record_failure(analyzed, None, unpaid, started, str(error))

    async def record_abandoned(self, analyzed: AnalyzedRequest, code: str, started: float) -> None:
        """Record, at no cost, a request that did not get all of another request's stream."""
        attempts = [Attempt("", "", code, "the shared stream ended before the answer was complete")]
        await self.record_failure(analyzed, None, attempts, started)

    async def _record(self, entry: LedgerEntry) -> Decimal | None:
        """Store ``entry``, and return the USD spent today including it, ``None`` if unknown.

        It is what the request's tenant has spent, or all where it has none.
        """
        receipt = await self._ledger.record(entry)
        notify(self._observers, entry)
        today = entry.request.created_at
        tenant, spent = entry.request.tenant, receipt.total_cost_today
        if spent is None:
            # The database is unavailable: add to the last sum that was read from it.
            last = self._spent_today.get(tenant)
            if last is None or last[0].date() != today.date():
                return None
            spent = last[1] + (entry.request.cost or _ZERO)
        self._spent_today[tenant] = (today, spent)
        return spent

    def _corrected(self, attempts: Sequence[Attempt], chat: Chat) -> Sequence[Attempt]:
        """Return ``attempts`` with corrected estimates; their output is estimated by its limit."""
        return [
            replace(attempt, usage=usage)
            if attempt.usage is not None
            and attempt.usage.estimated
            and (
                usage := self._density.corrected(
                    attempt.provider,
                    attempt.model,
                    chat,
                    attempt.usage,
                    written=attempt.error in UNSERVED,
                )
            )
            is not attempt.usage
            else attempt
            for attempt in attempts
        ]

    def _charges(self, answer_cost: Decimal | None, attempts: Sequence[Attempt]) -> Charges:
        """Return what the request cost in all: the answer and the failed attempts."""
        if not attempts:
            return Charges(answer_cost, _ZERO, [])
        costs = [self._prices.charged(a.provider, a.model, a.usage) for a in attempts]
        failed = sum(costs, _ZERO)
        cost = None if answer_cost is None else answer_cost + failed
        described = describe_attempts(attempts, costs)
        return Charges(cost, failed, described, describe_rails(attempts, costs))
