"""The autopilot in the path of requests: who is answered by a model on trial or one moved to.

It concerns requests that leave the choice of the model to hybrid routing. New models are held
back from routing until traffic was moved to them. A session stays in one arm of a trial, and each
request that takes part records the trial and its arm as those of an experiment.
"""

from __future__ import annotations

import glob
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from analytics.cache import scoped_cache_key
from analytics.models import AutopilotTrial
from optimizer.domain.analyzed_request import Assignment
from optimizer.domain.request import GatewayRequest
from optimizer.policies.experiments import arm_of
from routing.models import ModelRef, PromptAnalysis
from routing.rules import Effect, Rule

_State = AutopilotTrial.State
_TREATMENT = "treatment"


@dataclass(frozen=True, slots=True)
class ActiveTrial:
    """A trial as requests need it; ``live`` and ``moved`` say whether clients get its answers."""

    id: int
    name: str
    ref: ModelRef
    tier: str
    running: bool
    live: bool
    moved: bool
    held: bool

    @classmethod
    def of(cls, row: AutopilotTrial) -> ActiveTrial:
        """Return the trial of a row."""
        running = row.state in {_State.SHADOW, _State.LIVE}
        live, moved = row.state == _State.LIVE, row.state == _State.MOVED
        return cls(row.pk, row.name, row.ref, row.tier, running, live, moved, row.held)


def trials_load() -> list[ActiveTrial]:
    """Return the trials that concern requests: those under way, moved, or of models held back."""
    used = AutopilotTrial.objects.filter(state__in=(_State.SHADOW, _State.LIVE, _State.MOVED))
    rows = (used | AutopilotTrial.objects.filter(held=True)).order_by("pk")
    return [ActiveTrial.of(row) for row in rows]


class ActiveAutopilot:
    """Assigns requests to the arms of trials.

    ``load`` returns the trials, none while the autopilot is off; ``take`` takes a lot of the
    requests that a live trial may still answer today. Both read the database: do not call
    ``refresh`` on the event loop. ``share`` of the sessions get the model of a live trial, and as
    many are left alone after a move.
    """

    def __init__(
        self,
        load: Callable[[], Iterable[ActiveTrial]],
        take: Callable[[int], int],
        share: float,
    ) -> None:
        self._load = load
        self._take = take
        self._share = share
        self._trials: tuple[ActiveTrial, ...] = ()
        self._left: dict[int, int] = {}
        self._counting = threading.Lock()
        self.any = False
        """Whether a trial concerns any request."""

    def refresh(self) -> None:
        """Read the trials, and take requests for those that are live and have none left."""
        trials = tuple(self._load())
        live = {trial.id for trial in trials if trial.live}
        empty = [trial for trial in live if not self._left.get(trial)]
        lots = {trial: self._take(trial) for trial in empty}
        with self._counting:
            self._left = {trial: self._left.get(trial, 0) + lots.get(trial, 0) for trial in live}
        self._trials, self.any = trials, bool(trials)

    def of_tier(self, tier: str) -> ActiveTrial | None:
        """Return the trial whose pairs are wanted: the one under way, else the one moved to."""
        concerned = [trial for trial in self._trials if trial.tier == tier]
        running = next((trial for trial in concerned if trial.running), None)
        return running or next((trial for trial in concerned if trial.moved), None)

    def assign(
        self, request: GatewayRequest, analysis: PromptAnalysis, effect: Effect
    ) -> tuple[GatewayRequest, Effect, Assignment | None]:
        """Return the request, its effect and its arm, which is recorded; ``None`` without one."""
        if not concerns(request):
            return request, effect, None
        if effect.forced is not None or effect.preferred is not None:
            return request, self._holding(effect, analysis.tier, None), None
        assignment, chosen = None, None
        for trial in self._in_use(analysis.tier):
            arm = arm_of(trial.name, _unit(request), self._treated(trial))
            if trial.live and arm == _TREATMENT and not self._may_answer(trial):
                continue
            request = _scoped(request, trial.name, arm)
            assignment = assignment or Assignment(trial.name, arm)
            if arm == _TREATMENT:
                chosen = trial
                break
        return request, self._holding(effect, analysis.tier, chosen), assignment

    def usual(self, request: GatewayRequest, analysis: PromptAnalysis, effect: Effect) -> Effect:
        """Return the effect on a request that is only looked at: as most requests have it."""
        if not concerns(request):
            return effect
        moved = None
        if effect.forced is None and effect.preferred is None:
            moved = next((t for t in self._in_use(analysis.tier) if t.moved), None)
        return self._holding(effect, analysis.tier, moved)

    def tried(self, effect: Effect, trial: ActiveTrial) -> Effect:
        """Return the effect under which the model of a trial answers, if it can."""
        return self._holding(effect, trial.tier, trial)

    def without(self, effect: Effect, trial: ActiveTrial) -> Effect:
        """Return the effect under which the model of a trial does not answer."""
        before = next((t for t in self._in_use(trial.tier) if t.moved and t.id != trial.id), None)
        rule = Rule(trial.name, action="forbid", models=(_pattern(trial.ref),))
        held = self._holding(effect, trial.tier, before)
        return replace(held, forbidding=(*held.forbidding, rule))

    def _in_use(self, tier: str) -> list[ActiveTrial]:
        """Return the trials of a tier that clients get answers of, a live one first."""
        used = [t for t in self._trials if t.tier == tier and (t.live or t.moved)]
        return sorted(used, key=lambda trial: trial.moved)

    def _treated(self, trial: ActiveTrial) -> float:
        return 1 - self._share if trial.moved else self._share

    def _may_answer(self, trial: ActiveTrial) -> bool:
        with self._counting:
            left = self._left.get(trial.id, 0)
            if left:
                self._left[trial.id] = left - 1
        return left > 0

    def _holding(self, effect: Effect, tier: str, chosen: ActiveTrial | None) -> Effect:
        """Return the effect with new models held back, and the ``chosen`` trial's preferred."""
        ref = chosen.ref if chosen else None
        held = tuple(
            _pattern(trial.ref)
            for trial in self._trials
            if trial.held and trial.tier == tier and trial.ref != ref
        )
        if chosen is None:
            return replace(effect, held=held) if held else effect
        rule = Rule(chosen.name, action="prefer", models=(_pattern(chosen.ref),))
        return replace(effect, held=held, preferred=rule)


def concerns(request: GatewayRequest) -> bool:
    """Return whether a request leaves the choice of its model to hybrid routing."""
    return request.strategy == "hybrid" and request.only is None


def _unit(request: GatewayRequest) -> str:
    session = request.session_id
    return f"{request.client.tenant}\0{session}" if session else str(request.request_id)


def _scoped(request: GatewayRequest, name: str, arm: str) -> GatewayRequest:
    """Return ``request`` so that it shares answers only within its arm."""
    return replace(
        request,
        cache_key=scoped_cache_key(request.cache_key, name, arm),
        semantic_key=scoped_cache_key(request.semantic_key, name, arm),
    )


def _pattern(ref: ModelRef) -> str:
    """Return the name of a model for a rule, in which brackets are no wildcards."""
    return glob.escape(str(ref))
