"""The judge: compare a sample of answers with the reference model's, in the background.

For a share of the answered requests the reference model (the baseline) receives the same
request, and a judge compares both answers (:mod:`optimizer.quality.pair_judge`). The
reference's score is 0.5, as in AlpacaEval. If the routed answer is the reference's own,
there is nothing to judge: both are 0.5.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from django.db import Error as DatabaseFailure

from analytics.models import Comparison
from analytics.quality.comparisons import ScoredAnswer, comparison_record
from optimizer.domain.analyzed_request import AnalyzedRequest
from optimizer.domain.request import GatewayRequest, only_text
from optimizer.domain.result import CompletionResult
from optimizer.pricing.baseline_choice import BaselineChoice
from optimizer.quality.judge_pace import JudgePace, Pace
from optimizer.quality.pair_judge import EVEN, JudgingBill, JudgingFailed, PairJudge
from optimizer.shared.tasks import Background
from routing.models import ModelRef

logger = logging.getLogger(__name__)

_MAX_WAITING = 100

Store = Callable[..., Awaitable[Any]]
"""Runs a function on the thread that may use the database."""


@dataclass(frozen=True, slots=True)
class JudgePolicy:
    """How much to judge, and against which model.

    A share ``rate`` (0-1) of answers is judged, for at most ``daily_budget`` USD per UTC day,
    spread over its hours. ``reference`` is the model to compare with; ``None`` means the
    request's baseline.
    """

    rate: float
    daily_budget: Decimal
    reference: ModelRef | None = None


@dataclass(slots=True)
class _Case:
    """One request that is being judged, and its cost so far."""

    analyzed: AnalyzedRequest
    candidate: ModelRef
    reference: ModelRef
    expected: float | None
    served: bool
    bill: JudgingBill = field(default_factory=JudgingBill)


class Judge:
    """Judges one answer at a time, regardless of traffic. One per process."""

    def __init__(
        self,
        policy: JudgePolicy,
        pairs: PairJudge,
        store: Store,
        *,
        baselines: BaselineChoice | None = None,
        can_record: Callable[[], bool] = lambda: True,
        seed: int | None = None,
    ) -> None:
        self._policy = policy
        self._can_record = can_record
        self._pairs = pairs
        self._store = store
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
        # As the client asked: what levers add must not decide which answers are judged.
        if not only_text(analyzed.request.as_asked):
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
                score = EVEN if even else await self._judge(case, text)
        except JudgingFailed as failed:
            error = str(failed)
        except Exception as failure:  # what was spent is recorded all the same
            error = f"the service failed with {type(failure).__name__}"
            logger.error("An answer could not be judged", exc_info=failure)
        finally:
            self._waiting -= 1
        judge = str(self._pairs.model)
        try:
            await self._store(_record, case, score, error, judge)
        except DatabaseFailure as failure:  # this task runs in the background: log it here
            kind, spent = type(failure).__name__, case.bill.spent
            logger.error("A comparison that cost $%s could not be recorded (%s)", spent, kind)

    async def _has_its_turn(self) -> bool:
        if not self._can_record():
            return False  # what cannot be recorded is not bought
        pace: Pace = await self._store(self._pace.now)
        return not pace.spent and self._random.random() < pace.share

    async def _judge(self, case: _Case, text: str) -> float:
        """Return the candidate's share of the two verdicts, 0-1."""
        chat = case.analyzed.request.as_asked
        model = case.reference if case.served else case.candidate
        other = await self._pairs.second_answer(case.bill, model, chat)
        candidate, reference = (text, other) if case.served else (other, text)
        return await self._pairs.score(case.bill, chat, candidate, reference)


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
        ScoredAnswer(*case.reference, None if score is None else EVEN),
        source=Comparison.Source.JUDGE,
        expected=case.expected,
        served=case.served,
        judged=case.bill.judgement(judge, error),
    )
