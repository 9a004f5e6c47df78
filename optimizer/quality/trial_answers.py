"""Second answers of the autopilot's trials: the model on trial beside the one in its place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from analytics.autopilot.pairs import pair_record, unit_has_pair, unit_of
from analytics.quality.comparisons import ScoredAnswer
from optimizer.domain.analyzed_request import AnalyzedRequest
from optimizer.domain.result import CompletionResult
from optimizer.policies.autopilot import ActiveAutopilot, ActiveTrial, concerns
from optimizer.quality.judge_pace import JudgePace
from optimizer.quality.pair_judge import EVEN
from optimizer.quality.second_answers import SecondAnswer, SecondAnswers, left_out, levers_act
from routing.models import ModelRef, RoutingDecision
from routing.rules import Effect

Decide = Callable[[AnalyzedRequest], RoutingDecision]
"""Returns the decision for a request under its effect, afresh."""


class TrialAnswers:
    """Answers a share ``rate`` (0-1) of the requests a trial concerns twice. One per process."""

    def __init__(
        self, autopilot: ActiveAutopilot, answers: SecondAnswers, pace: JudgePace, rate: float
    ) -> None:
        self._autopilot = autopilot
        self._answers = answers
        self._pace = pace
        self._rate = rate

    def consider(self, analyzed: AnalyzedRequest, result: CompletionResult, decide: Decide) -> None:
        """Answer this request a second time in the background, if it falls into the sample."""
        if not self._answers.drawn(self._rate):
            return
        trial = self._autopilot.of_tier(analyzed.analysis.tier)
        suitable = trial is not None and _suitable(analyzed, result, self._answers.judge)
        self._pace.sampled(suitable=suitable)
        if trial is None or not suitable:
            return
        case = SecondAnswer.of(analyzed, result)
        given = analyzed.assignment is not None and analyzed.assignment.is_treated(trial.name)
        live = given and case.served == trial.ref
        if case.served == trial.ref and not live:
            return  # routing's own choice, whose place no other model would have taken
        effect = self._effect(analyzed.effect, trial, live=live)
        request = analyzed.request
        unit = unit_of(request.client.tenant, request.session_id, request.request_id)
        self._answers.start(
            case,
            partial(self._other, analyzed, effect, trial, decide, live=live),
            partial(self._record, trial, unit, live=live),
            wanted=lambda: not unit_has_pair(trial.id, unit),
        )

    async def drain(self) -> None:
        """Wait until all started second answers are done."""
        await self._answers.drain()

    def _effect(self, effect: Effect, trial: ActiveTrial, *, live: bool) -> Effect:
        if live:
            return self._autopilot.without(replace(effect, preferred=None), trial)
        return self._autopilot.tried(effect, trial)

    def _other(
        self,
        analyzed: AnalyzedRequest,
        effect: Effect,
        trial: ActiveTrial,
        decide: Decide,
        *,
        live: bool,
    ) -> ModelRef | None:
        """Return the model of the second answer, ``None`` if the one on trial cannot serve."""
        other = decide(replace(analyzed, effect=effect, assignment=None)).ref
        return other if live or other == trial.ref else None

    def _record(self, trial: ActiveTrial, unit: str, case: SecondAnswer, *, live: bool) -> None:
        assert case.other is not None
        saved = None
        if case.served_cost is not None and case.other_cost is not None:
            saved = float(case.served_cost - case.other_cost) * (-1 if live else 1)
        pair_record(
            trial.id,
            unit,
            case.analyzed.request.request_id,
            ScoredAnswer(*case.other, case.score),
            ScoredAnswer(*case.served, None if case.score is None else EVEN),
            live=live,
            saved=saved,
            judged=case.bill.judgement(str(self._answers.judge), case.error),
        )


def _suitable(analyzed: AnalyzedRequest, result: CompletionResult, judge: ModelRef) -> bool:
    fell_back = "intended_model" in result.decision.metadata
    if fell_back or not concerns(analyzed.request) or levers_act(analyzed):
        return False
    return not left_out(analyzed, result, judge)
