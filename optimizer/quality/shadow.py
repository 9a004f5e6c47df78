"""Shadow evaluation: answers a share of the requests that name a model as routing would have.

After a request was answered by the model that it names, the model that hybrid routing would have
chosen answers it too, and the judge compares both (:mod:`optimizer.quality.second_answers`).
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from django.db import Error as DatabaseFailure

from analytics.models import Comparison
from analytics.quality.comparisons import ScoredAnswer
from analytics.quality.shadow import ShadowFacts, shadow_counts_add, shadow_record
from optimizer.domain.analyzed_request import AnalyzedRequest
from optimizer.domain.result import CompletionResult
from optimizer.quality.judge import Store
from optimizer.quality.judge_pace import JudgePace
from optimizer.quality.pair_judge import EVEN, PairJudge
from optimizer.quality.second_answers import SecondAnswer, SecondAnswers, left_out, levers_act
from routing.models import RoutingDecision

AsRouted = Callable[[AnalyzedRequest], RoutingDecision]
"""Returns what hybrid routing would choose for a request that names its model."""


@dataclass(frozen=True, slots=True)
class ShadowPolicy:
    """How much to evaluate: a share ``rate`` (0-1) of the named requests.

    ``daily_budget`` is the most to spend on second answers and on judging, in USD per UTC day.
    """

    rate: float
    daily_budget: Decimal


class Shadow:
    """Answers sampled requests as routing would have, in the background. One per process."""

    def __init__(
        self,
        policy: ShadowPolicy,
        pairs: PairJudge,
        store: Store,
        *,
        can_record: Callable[[], bool] = lambda: True,
        seed: int | None = None,
    ) -> None:
        self._rate = policy.rate
        self._store = store
        self._pace = JudgePace(policy.rate, policy.daily_budget, Comparison.Source.SHADOW)
        self._answers = SecondAnswers(pairs, store, self._pace, can_record=can_record, seed=seed)
        self._counts: Counter[str] = Counter()
        self._counting = threading.Lock()

    def consider(
        self, analyzed: AnalyzedRequest, result: CompletionResult, as_routed: AsRouted
    ) -> None:
        """Answer this request a second time in the background, if it falls into the sample."""
        drawn = self._answers.drawn(self._rate)
        if analyzed.request.only is None:
            if drawn:
                self._pace.sampled(suitable=False)
            return
        self._count("named")
        reason = left_out(analyzed, result, self._answers.judge)
        if not reason and levers_act(analyzed):
            reason = "a lever may change the answer"
        self._count(reason or "eligible")
        if not drawn:
            return
        self._pace.sampled(suitable=not reason)
        if reason:
            return
        self._count("sampled")
        self._answers.start(
            SecondAnswer.of(analyzed, result),
            lambda: as_routed(analyzed).ref,
            self._record,
            self._count,
        )

    async def drain(self) -> None:
        """Wait until all started evaluations are done, and count them."""
        await self._answers.drain()
        if self._counts:
            await self._store(self.write_counts)

    def write_counts(self) -> None:
        """Add what was counted since the last call to the database: not for the event loop."""
        with self._counting:
            counts, self._counts = self._counts, Counter()
        try:
            shadow_counts_add(counts)
        except DatabaseFailure:
            with self._counting:
                self._counts.update(counts)
            raise

    def _count(self, outcome: str) -> None:
        with self._counting:
            self._counts[outcome] += 1

    def _record(self, case: SecondAnswer) -> None:
        assert case.other is not None
        request, same = case.analyzed.request, case.other == case.served
        facts = ShadowFacts(
            requested_model=request.requested_model,
            turn=request.turn,
            agent=request.session.agent,
            later_turn=any(message.role == "assistant" for message in request.chat.messages),
            same_model=same,
            served_cost=case.served_cost,
            shadow_cost=case.other_cost,
        )
        shadow_record(
            request.request_id,
            ScoredAnswer(*case.other, case.score),
            ScoredAnswer(*case.served, None if case.score is None else EVEN),
            facts,
            case.bill.judgement(str(self._answers.judge), case.error),
        )
