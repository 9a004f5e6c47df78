"""Judging a sample of answers beside the reference's, off the client's path.

For a share of the answered requests the reference model (the baseline) is asked
the same, and a judge is shown both answers, in both orders, so that a liking for
the first place cancels out (Zheng et al. 2023, "Judging LLM-as-a-Judge", section
3.4). The score is the share of the two verdicts that the routed answer won, a tie
counting half; the reference's is 0.5, as in AlpacaEval. Where the routed answer
is the reference's own, there is nothing to judge: both are 0.5.
"""

from __future__ import annotations

import asyncio
import logging
import random
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from django.db import Error as DatabaseFailure

from analytics.budgets.claims import Charge, Cost, Payer
from analytics.ledger.ledger import BudgetsUnavailable
from analytics.models import Comparison
from analytics.quality.comparisons import ScoredAnswer, Judgement, comparison_record
from analytics.quality.report import judging_cost
from optimizer.budgets.reservations import Budgets
from optimizer.domain.request import ASSUMED_MAX_TOKENS
from optimizer.domain.result import CompletionResult
from optimizer.gateway.recording.ledger_entries import AnalyzedRequest
from optimizer.quality.judge_prompt import Side, question, said_in, verdict_of
from optimizer.shared.tasks import Background
from providers.chat import Chat, Text
from providers.completion import Completion, CompletionRequest
from providers.pricing import PriceBook
from providers.resilience import AllProvidersFailed, Attempt, ResilientCaller

logger = logging.getLogger(__name__)

_ZERO = Decimal(0)
_EVEN = 0.5
_POINTS: dict[Side, float] = {"first": 1.0, "tie": _EVEN, "second": 0.0}
_REVERSED: dict[Side, Side] = {"first": "second", "second": "first", "tie": "tie"}
_WAITING_AT_MOST = 100

Model = tuple[str, str]
Store = Callable[..., Awaitable[Any]]
"""Runs a function on the thread that may use the database."""


@dataclass(frozen=True, slots=True)
class JudgePolicy:
    """``model`` judges a share ``rate`` (0-1) of answers, for at most ``daily_budget`` USD a UTC
    day. ``reference`` is who is compared with: ``None`` for the request's own baseline.
    """

    model: Model
    rate: float
    daily_budget: Decimal
    reference: Model | None = None


@dataclass(slots=True)
class _Case:
    """One request under judgement, and what it has cost so far in USD."""

    analyzed: AnalyzedRequest
    candidate: Model
    reference: Model
    expected: float | None
    served: bool
    judge_cost: Decimal = _ZERO
    answer_cost: Decimal = _ZERO
    verdicts: list[str] = field(default_factory=list)
    costs: list[Cost] = field(default_factory=list)


class Unjudged(Exception):
    """It came to nothing; the message says why, without a word of prompt or answer."""


class Judge:
    """One per process. Judges one answer at a time, whatever the traffic."""

    def __init__(
        self,
        policy: JudgePolicy,
        caller: ResilientCaller,
        prices: PriceBook,
        store: Store,
        *,
        budgets: Budgets | None = None,
        seed: int | None = None,
    ) -> None:
        self._policy = policy
        self._caller = caller
        self._prices = prices
        self._store = store
        self._budgets = budgets
        self._random = random.Random(seed)  # noqa: S311 - a sample, not a secret
        self._one_at_a_time = asyncio.Semaphore(1)
        self._waiting = 0
        self._background = Background()

    def consider(self, analyzed: AnalyzedRequest, result: CompletionResult) -> None:
        """Judge this answer later, if the lot falls on it."""
        if self._random.random() >= self._policy.rate or self._waiting >= _WAITING_AT_MOST:
            return
        if (case := self._case(analyzed, result)) is not None:
            self._waiting += 1
            self._background.run(self._try(case, result.completion.text))

    async def drain(self) -> None:
        """Wait for what is being judged."""
        await self._background.drain()

    def _case(self, analyzed: AnalyzedRequest, result: CompletionResult) -> _Case | None:
        """``None`` where there are no two texts to compare."""
        completion, metadata = result.completion, result.decision.metadata
        if completion.finish_reason != "stop" or not completion.text:
            return None
        if not _only_text(analyzed.request.chat):
            return None
        served = (completion.provider, completion.model)
        reference = self._policy.reference or analyzed.request.baseline or _baseline(metadata)
        if reference is None:
            return None
        kept_from = metadata.get("guarantee", {}).get("instead_of")
        if kept_from and served == reference:
            # The reference answered so that the guarantee holds; the other is on trial.
            candidate = (kept_from["provider"], kept_from["model"])
            expected = metadata["guarantee"]["expected"]
            return _Case(analyzed, candidate, reference, expected, served=False)
        return _Case(analyzed, served, reference, _expected(metadata), served=True)

    async def _try(self, case: _Case, text: str) -> None:
        score, error = None, ""
        try:
            async with self._one_at_a_time:
                if case.candidate == case.reference:
                    score = _EVEN
                elif await self._may_spend():
                    score = await self._judge(case, text)
                else:
                    return
        except Unjudged as unjudged:
            error = str(unjudged)
        finally:
            self._waiting -= 1
        judge = "/".join(self._policy.model)
        try:
            await self._store(_record, case, score, error, judge)
        except DatabaseFailure as failure:  # nobody else would hear of it
            spent = case.judge_cost + case.answer_cost
            kind = type(failure).__name__
            logger.error("A comparison that cost $%s could not be recorded (%s)", spent, kind)

    async def _may_spend(self) -> bool:
        today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        spent: Decimal = await self._store(judging_cost, today)
        return spent < self._policy.daily_budget

    async def _judge(self, case: _Case, text: str) -> float:
        """The candidate's share of the verdicts."""
        other = await self._other_answer(case)
        candidate, reference = (text, other) if case.served else (other, text)
        asked = said_in(case.analyzed.request.chat)
        first = await self._ask_judge(case, question(asked, candidate, reference))
        second = _REVERSED[await self._ask_judge(case, question(asked, reference, candidate))]
        return (_POINTS[first] + _POINTS[second]) / 2

    async def _other_answer(self, case: _Case) -> str:
        """Of the one who did not serve: paid for only to be compared."""
        model = case.reference if case.served else case.candidate
        completion, cost = await self._call(case, model, case.analyzed.request.chat)
        case.answer_cost += cost
        if completion is None:
            raise Unjudged("the other model did not answer")
        if completion.finish_reason != "stop" or not completion.text:
            raise Unjudged("the other model gave no whole answer")
        return completion.text

    async def _ask_judge(self, case: _Case, chat: Chat) -> Side:
        completion, cost = await self._call(case, self._policy.model, chat)
        case.judge_cost += cost
        side = verdict_of(completion.text) if completion is not None else None
        if side is None:
            raise Unjudged("the judge gave no verdict")
        case.verdicts.append(side)
        return side

    async def _call(
        self, case: _Case, model: Model, chat: Chat
    ) -> tuple[Completion | None, Decimal]:
        """The answer, if there is one, and what was charged for it and for failed tries."""
        if self._prices.rates(*model) is None:
            raise Unjudged(f"no price is known for {'/'.join(model)}")
        reservation = self._budgets.own_reservation(chat) if self._budgets is not None else None
        if reservation is not None:
            chat = replace(chat, max_tokens=chat.max_tokens or ASSUMED_MAX_TOKENS)
        completion = None
        try:
            outcome = await self._caller.call(
                [model],
                lambda name: CompletionRequest(name, chat),
                reservation.authorize if reservation else None,
            )
            completion, attempts = outcome.completion, outcome.attempts
        except AllProvidersFailed as error:
            attempts = error.attempts
        except BudgetsUnavailable:
            raise Unjudged("the budgets could not be asked") from None
        charges = self._charges(completion, attempts)
        asked = (
            (reservation.request_id, reservation.asked_at)
            if reservation
            else (uuid.uuid4(), datetime.now(UTC))
        )
        case.costs.append(Cost(*asked, Payer(), charges))
        return completion, sum((charge.amount for charge in charges), _ZERO)

    def _charges(
        self, completion: Completion | None, attempts: Sequence[Attempt]
    ) -> tuple[Charge, ...]:
        used = [(a.provider, a.model, a.usage) for a in attempts]
        if completion is not None:
            used.append((completion.provider, completion.model, completion.usage))
        return tuple(
            Charge(provider, model, cost)
            for provider, model, usage in used
            if (cost := self._prices.charged(provider, model, usage))
        )


def _only_text(chat: Chat) -> bool:
    plain = all(isinstance(part, Text) for part in chat.parts())
    return plain and not chat.tools and not chat.native and chat.n == 1


def _expected(metadata: dict[str, Any]) -> float | None:
    """Of the model that served; unknown where it only stood in for another."""
    if "intended_model" in metadata:
        return None
    guarantee = metadata.get("guarantee")
    found: float | None = guarantee["expected"] if guarantee else metadata.get("quality_score")
    return found


def _baseline(metadata: dict[str, Any]) -> Model | None:
    chain = metadata.get("baseline_chain")
    return (chain[0]["provider"], chain[0]["model"]) if chain else None


def _record(case: _Case, score: float | None, error: str, judge: str) -> None:
    comparison_record(
        case.analyzed.request_id,
        ScoredAnswer(*case.candidate, score),
        ScoredAnswer(*case.reference, None if score is None else _EVEN),
        source=Comparison.Source.JUDGE,
        expected=case.expected,
        served=case.served,
        judged=Judgement(
            judge, case.judge_cost, case.answer_cost, case.verdicts, error, case.costs
        ),
    )
