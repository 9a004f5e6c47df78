"""Judges answers with a lever beside answers without it, while the lever is being proven.

For a share of the requests on which a lever acted, the same model answers the client's own request
once more, and the judge compares both answers. Where a semantic cache's answer was left alone, it
is judged beside the answer that the client received, so its wrong answers are known.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from analytics.models import Comparison
from analytics.quality.comparisons import ScoredAnswer, comparison_record
from optimizer.domain.analyzed_request import AnalyzedRequest
from optimizer.domain.levers import LeverTrial
from optimizer.domain.result import CompletionResult
from optimizer.quality.judge import Store
from optimizer.quality.judge_pace import JudgePace
from optimizer.quality.pair_judge import EVEN, PairJudge
from optimizer.quality.second_answers import SecondAnswer, SecondAnswers, left_out

REPEATABLE = frozenset({"effort", "compression", "short_answers"})
"""Levers whose answers can be had without them: by the same model, from the client's request."""
SEMANTIC = "semantic_cache"


@dataclass(frozen=True, slots=True)
class LeverPairPolicy:
    """How much to judge: a share ``rate`` (0-1) of what levers changed.

    ``daily_budget`` is the most to spend on second answers and on judging, in USD per UTC day.
    """

    rate: float
    daily_budget: Decimal


class LeverPairs:
    """Judges a sample of what levers changed, in the background. One per process."""

    def __init__(
        self,
        policy: LeverPairPolicy,
        pairs: PairJudge,
        store: Store,
        *,
        can_record: Callable[[], bool] = lambda: True,
        seed: int | None = None,
    ) -> None:
        self._rate = policy.rate
        self._pace = JudgePace(policy.rate, policy.daily_budget, Comparison.Source.LEVER)
        self._answers = SecondAnswers(pairs, store, self._pace, can_record=can_record, seed=seed)

    def consider(self, analyzed: AnalyzedRequest, result: CompletionResult) -> None:
        """Judge this answer in the background, if a lever changed it and it is drawn."""
        trials = analyzed.request.trials
        trial = next(filter(_can_be_paired, trials), None)
        if trial is None or not self._answers.drawn(self._rate):
            return
        if sum(one.treated and one.lever in REPEATABLE for one in trials) > 1:
            return  # the second answer has none of them, so which one it was cannot be told
        reason = left_out(analyzed, result, self._answers.judge)
        self._pace.sampled(suitable=not reason)
        if reason:
            return
        case = SecondAnswer.of(analyzed, result)
        case.anew = trial.treated
        if trial.lever == SEMANTIC:  # else it is what another trial left alone
            case.ready = analyzed.request.passed_over
        self._answers.start(
            case, lambda: case.served, lambda done: _record(trial, done, self.judge)
        )

    @property
    def judge(self) -> str:
        """Return the model that judges, as "provider/model"."""
        return str(self._answers.judge)

    async def drain(self) -> None:
        """Wait until all started judgements are done."""
        await self._answers.drain()


def _can_be_paired(trial: LeverTrial) -> bool:
    # A lever that is on without a control is not being measured.
    if not 0 < trial.propensity < 1:
        return False
    if trial.lever == SEMANTIC:
        return not trial.treated
    return trial.treated and trial.lever in REPEATABLE


def _record(trial: LeverTrial, case: SecondAnswer, judge: str) -> None:
    """Store the score of the lever's answer; the other one's is even."""
    score = case.score
    if score is not None and trial.treated:
        score = 1 - score  # the second answer is the one without the lever
    comparison_record(
        case.analyzed.request.request_id,
        ScoredAnswer(*case.served, score),
        ScoredAnswer(*case.served, None if score is None else EVEN),
        source=Comparison.Source.LEVER,
        strategy=trial.lever,
        # It says nothing of the model, which gave both answers, so reports on models skip it.
        served=False,
        judged=case.bill.judgement(judge, case.error),
    )
