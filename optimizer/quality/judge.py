"""The judge: compare a sample of answers with the reference model's, in the background.

For a share of the answered requests the reference model (the baseline) receives the same
request. A judge is shown both answers in both orders, so that a preference for the first
position cancels out (Zheng et al. 2023, "Judging LLM-as-a-Judge", section 3.4). The score
is the share of the two verdicts that the routed answer won, and a tie counts half; the
reference's score is 0.5, as in AlpacaEval. If the routed answer is the reference's own,
there is nothing to judge: both are 0.5.
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
from analytics.ledger.write_health import RecordsUnavailable
from analytics.models import Comparison
from analytics.quality.comparisons import Judgement, ScoredAnswer, comparison_record
from optimizer.budgets.reservations import Budgets
from optimizer.domain.analyzed_request import AnalyzedRequest
from optimizer.domain.request import ASSUMED_MAX_TOKENS, GatewayRequest
from optimizer.domain.result import CompletionResult
from optimizer.pricing.baseline_choice import BaselineChoice
from optimizer.quality.judge_pace import JudgePace, Pace
from optimizer.quality.judge_prompt import Side, conversation_text, question, verdict_of
from optimizer.shared.tasks import Background
from providers.chat import Chat, Text
from providers.completion import Completion
from providers.pricing import PriceBook
from providers.resilience import AllProvidersFailed, Attempt, ResilientCaller
from routing.models import ModelRef

logger = logging.getLogger(__name__)

_ZERO = Decimal(0)
_EVEN = 0.5
_POINTS: dict[Side, float] = {"first": 1.0, "tie": _EVEN, "second": 0.0}
_REVERSED: dict[Side, Side] = {"first": "second", "second": "first", "tie": "tie"}
_MAX_WAITING = 100

Store = Callable[..., Awaitable[Any]]
"""Runs a function on the thread that may use the database."""


@dataclass(frozen=True, slots=True)
class JudgePolicy:
    """How much to judge, and against which model.

    ``model`` judges a share ``rate`` (0-1) of answers, for at most ``daily_budget`` USD per
    UTC day, spread over its hours. ``reference`` is the model to compare with; ``None`` means
    the request's baseline.
    """

    model: ModelRef
    rate: float
    daily_budget: Decimal
    reference: ModelRef | None = None


@dataclass(slots=True)
class _Case:
    """One request that is being judged, and its cost so far in USD."""

    analyzed: AnalyzedRequest
    candidate: ModelRef
    reference: ModelRef
    expected: float | None
    served: bool
    judge_cost: Decimal = _ZERO
    answer_cost: Decimal = _ZERO
    verdicts: list[str] = field(default_factory=list)
    costs: list[Cost] = field(default_factory=list)


class JudgingFailed(Exception):
    """There is no verdict; the message says why, without any text of prompt or answer."""


class Judge:
    """Judges one answer at a time, regardless of traffic. One per process."""

    def __init__(
        self,
        policy: JudgePolicy,
        caller: ResilientCaller,
        prices: PriceBook,
        store: Store,
        *,
        budgets: Budgets | None = None,
        baselines: BaselineChoice | None = None,
        can_record: Callable[[], bool] = lambda: True,
        seed: int | None = None,
    ) -> None:
        self._policy = policy
        self._can_record = can_record
        self._caller = caller
        self._prices = prices
        self._store = store
        self._budgets = budgets
        self._baselines = baselines
        self._random = random.Random(seed)  # noqa: S311 - a sample, not a secret
        self._pace = JudgePace(policy.rate, policy.daily_budget)
        self._one_at_a_time = asyncio.Semaphore(1)
        self._waiting = 0
        self._background = Background()

    def consider(self, analyzed: AnalyzedRequest, result: CompletionResult) -> None:
        """Judge this answer in the background, if it falls into the random sample."""
        if self._random.random() >= self._policy.rate or self._waiting >= _MAX_WAITING:
            return
        case = self._case(analyzed, result)
        self._pace.sampled(suitable=case is not None)
        if case is not None:
            self._waiting += 1
            self._background.run(self._judge_and_record(case, result.completion.text))

    async def drain(self) -> None:
        """Wait until all started judgements are done."""
        await self._background.drain()

    def _case(self, analyzed: AnalyzedRequest, result: CompletionResult) -> _Case | None:
        """Return the case to judge; ``None`` if there are no two texts to compare."""
        completion, metadata = result.completion, result.decision.metadata
        if completion.finish_reason != "stop" or not completion.text:
            return None
        if not _only_text(analyzed.request.chat):
            return None
        served = ModelRef(completion.provider, completion.model)
        reference = self._policy.reference or self._baseline(analyzed.request, metadata)
        if reference is None:
            return None
        replaced = metadata.get("guarantee", {}).get("instead_of")
        if replaced and served == reference:
            # The reference answered to keep the guarantee; the model it replaced is judged.
            candidate = ModelRef(replaced["provider"], replaced["model"])
            expected = metadata["guarantee"]["expected"]
            return _Case(analyzed, candidate, reference, expected, served=False)
        return _Case(analyzed, served, reference, _expected(metadata), served=True)

    def _baseline(self, request: GatewayRequest, metadata: dict[str, Any]) -> ModelRef | None:
        """Return the baseline that the request's saving is measured against."""
        chosen = self._baselines.of(request) if self._baselines else request.baseline
        return chosen or _baseline(metadata)

    async def _judge_and_record(self, case: _Case, text: str) -> None:
        score, error = None, ""
        try:
            async with self._one_at_a_time:
                # What costs nothing is left out too, or the sample would have more of it.
                if not await self._has_its_turn():
                    return
                even = case.candidate == case.reference
                score = _EVEN if even else await self._judge(case, text)
        except JudgingFailed as failed:
            error = str(failed)
        except Exception as failure:  # what was spent is recorded all the same
            error = f"the service failed with {type(failure).__name__}"
            logger.error("An answer could not be judged", exc_info=failure)
        finally:
            self._waiting -= 1
        judge = str(self._policy.model)
        try:
            await self._store(_record, case, score, error, judge)
        except DatabaseFailure as failure:  # this task runs in the background: log it here
            spent = case.judge_cost + case.answer_cost
            kind = type(failure).__name__
            logger.error("A comparison that cost $%s could not be recorded (%s)", spent, kind)

    async def _has_its_turn(self) -> bool:
        if not self._can_record():
            return False  # what cannot be recorded is not bought
        pace: Pace = await self._store(self._pace.now)
        return not pace.spent and self._random.random() < pace.share

    async def _judge(self, case: _Case, text: str) -> float:
        """Return the candidate's share of the two verdicts, 0-1."""
        other = await self._other_answer(case)
        candidate, reference = (text, other) if case.served else (other, text)
        conversation = conversation_text(case.analyzed.request.as_asked)
        first = await self._ask_judge(case, question(conversation, candidate, reference))
        second = _REVERSED[
            await self._ask_judge(case, question(conversation, reference, candidate))
        ]
        return (_POINTS[first] + _POINTS[second]) / 2

    async def _other_answer(self, case: _Case) -> str:
        """Return the answer of the model that did not serve; it is paid for only to compare."""
        model = case.reference if case.served else case.candidate
        completion, cost = await self._call(case, model, case.analyzed.request.as_asked)
        case.answer_cost += cost
        if completion is None:
            raise JudgingFailed("the other model did not answer")
        if completion.finish_reason != "stop" or not completion.text:
            raise JudgingFailed("the other model gave no complete answer")
        return completion.text

    async def _ask_judge(self, case: _Case, chat: Chat) -> Side:
        completion, cost = await self._call(case, self._policy.model, chat)
        case.judge_cost += cost
        side = verdict_of(completion.text) if completion is not None else None
        if side is None:
            raise JudgingFailed("the judge gave no verdict")
        case.verdicts.append(side)
        return side

    async def _call(
        self, case: _Case, model: ModelRef, chat: Chat
    ) -> tuple[Completion | None, Decimal]:
        """Return the answer, if any, and the charge in USD for it and for failed tries."""
        if self._prices.rates(*model) is None:
            raise JudgingFailed(f"no price is known for {'/'.join(model)}")
        reservation = self._budgets.own_reservation(chat) if self._budgets is not None else None
        if reservation is not None:
            chat = replace(chat, max_tokens=chat.max_tokens or ASSUMED_MAX_TOKENS)
        completion = None
        attempts: list[Attempt] = []
        authorize = reservation.authorize if reservation else None
        try:
            completion = await self._caller.call([model], chat, attempts, authorize)
        except AllProvidersFailed:
            pass  # the attempts say why
        except BudgetsUnavailable:
            raise JudgingFailed("the budgets could not be checked") from None
        except RecordsUnavailable:
            raise JudgingFailed("nothing could be recorded") from None
        finally:
            # Whatever ends the call: recording the comparison settles what is held for it.
            charges = self._charges(completion, attempts)
            request_id, at = (
                (reservation.request_id, reservation.asked_at)
                if reservation
                else (uuid.uuid4(), datetime.now(UTC))
            )
            case.costs.append(Cost(request_id, at, Payer(), charges))
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
    text_parts = all(isinstance(part, Text) for part in chat.parts())
    return text_parts and not chat.tools and not chat.native and chat.n == 1


def _expected(metadata: dict[str, Any]) -> float | None:
    """Return the expected quality of the model that served; ``None`` if it was a fallback."""
    if "intended_model" in metadata:
        return None
    guarantee = metadata.get("guarantee")
    expected: float | None = guarantee["expected"] if guarantee else metadata.get("quality_score")
    return expected


def _baseline(metadata: dict[str, Any]) -> ModelRef | None:
    chain = metadata.get("baseline_chain")
    return ModelRef(chain[0]["provider"], chain[0]["model"]) if chain else None


def _record(case: _Case, score: float | None, error: str, judge: str) -> None:
    comparison_record(
        case.analyzed.request.request_id,
        ScoredAnswer(*case.candidate, score),
        ScoredAnswer(*case.reference, None if score is None else _EVEN),
        source=Comparison.Source.JUDGE,
        expected=case.expected,
        served=case.served,
        judged=Judgement(
            judge, case.judge_cost, case.answer_cost, case.verdicts, error, case.costs
        ),
    )
