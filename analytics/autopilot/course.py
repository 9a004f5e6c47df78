"""The course of the autopilot's trials: what each shows, and what follows from it.

``autopilot_run`` may run on several workers at once, and may end at any point: all it knows stands
in the database, and each step is taken once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.utils import timezone

from analytics.autopilot.noticing import PricedModel, models_notice
from analytics.autopilot.pairs import NO_PAIRS, Floats, pair_values, pair_values_of
from analytics.autopilot.steps import RUNNING, State, autopilot_on, trial_advance
from analytics.autopilot.uses import (
    day_start,
    month_start,
    uses_allow,
    uses_taken,
    uses_taken_of,
    uses_taken_since,
)
from analytics.experiments import failures_compared
from analytics.models import AutopilotTrial, Comparison
from analytics.quality.report import judging_cost
from routing.guarantee.adoption import (
    LEAST_LOSS,
    AdoptionBounds,
    AdoptionTerms,
    bounds_of,
    decide_adoption,
    live_allowance,
    turned_bad,
)

_FAILURES_OF = timedelta(days=7)
_FAILURES = 0.02
"""How much more often a model may surely fail than the one in its place."""


@dataclass(frozen=True, slots=True)
class AutopilotPolicy:
    """What the autopilot may do. Money is USD; points are quality, 0-1 summed over answers.

    ``share`` is that of the sessions that a model on trial answers, and of those that are left
    alone after a move. ``trial_days`` is how long a trial may take.
    """

    on: bool = False
    terms: AdoptionTerms = field(default_factory=AdoptionTerms)
    share: float = 0.1
    daily_usd: Decimal = Decimal(1)
    monthly_usd: Decimal = Decimal(20)
    daily_points: float = 5.0
    monthly_points: float = 50.0
    trial_days: int = 30


@dataclass(frozen=True, slots=True)
class TrialEvidence:
    """What a trial shows: bounds from its pairs, and the clients' requests it was given."""

    bounds: AdoptionBounds
    live: int

    def as_dict(self) -> dict[str, Any]:
        """Return it as a step records it."""
        return {**asdict(self.bounds), "live": self.live}


def autopilot_run(
    policy: AutopilotPolicy, models: Sequence[PricedModel], now: datetime | None = None
) -> None:
    """Notice what is new, and take every step that the evidence calls for."""
    now = now or timezone.now()
    if not autopilot_on(by_default=policy.on):
        return
    models_notice(models, now)
    _start(now)
    for trial in AutopilotTrial.objects.filter(state__in=RUNNING):
        _judge(trial, policy, now)
    for trial in AutopilotTrial.objects.filter(state=State.MOVED):
        _watch(trial, policy, now)
    _allow(policy, now)


def trial_evidence(trial: AutopilotTrial, terms: AdoptionTerms) -> TrialEvidence:
    """Return what the pairs of a trial show now."""
    return TrialEvidence(bounds_of(*pair_values(trial), terms), uses_taken(trial))


def evidence_of_trials(
    trials: Sequence[AutopilotTrial], terms: AdoptionTerms
) -> list[TrialEvidence]:
    """Return what :func:`trial_evidence` does for each of the trials, in two queries."""
    names = [trial.pk for trial in trials]
    values, taken = pair_values_of(names), uses_taken_of(names)
    return [
        TrialEvidence(bounds_of(*values.get(name, NO_PAIRS), terms), taken.get(name, 0))
        for name in names
    ]


def usd_spent(since: datetime) -> Decimal:
    """Return what trials have cost since then: second answers, judging, and dearer answers."""
    spent: Decimal = judging_cost(since, source=Comparison.Source.AUTOPILOT)
    for taken, (_, savings) in _used(since):
        dearer = max(0.0, -float(savings.mean())) if len(savings) else 0.0
        spent += Decimal(str(round(dearer * taken, 10)))
    return spent


def points_at_risk(terms: AdoptionTerms, since: datetime) -> float:
    """Return the most quality that trials may surely have cost clients since then, in points."""
    return sum(taken * _worst(bounds_of(*values, terms)) for taken, values in _used(since))


def _used(since: datetime) -> list[tuple[int, tuple[Floats, Floats]]]:
    """Return the requests that were taken for each trial since then, with its pairs' values."""
    taken = uses_taken_since(since.date())
    values = pair_values_of(taken)
    return [(requests, values.get(trial, NO_PAIRS)) for trial, requests in taken.items()]


def _start(now: datetime) -> None:
    """Give a waiting trial its turn where no other of its tier runs, the oldest first."""
    busy = set(AutopilotTrial.objects.filter(state__in=RUNNING).values_list("tier", flat=True))
    for trial in AutopilotTrial.objects.filter(state=State.NOTICED).order_by("created_at", "pk"):
        if trial.tier not in busy:
            trial_advance(trial, State.SHADOW, "it is its turn", now=now)
            busy.add(trial.tier)


def _judge(trial: AutopilotTrial, policy: AutopilotPolicy, now: datetime) -> None:
    evidence = trial_evidence(trial, policy.terms)
    stage = "live" if trial.state == State.LIVE else "shadow"
    decided = decide_adoption(stage, evidence.bounds, evidence.live, policy.terms)  # type: ignore[arg-type]
    to, reason = _AFTER[decided.verdict], decided.reason
    if trial.state == State.LIVE and (harm := _failures(trial, now)):
        to, reason = State.REJECTED, harm
    begun = trial.started_at or trial.created_at
    if to is None and now - begun > timedelta(days=policy.trial_days):
        to, reason = State.REJECTED, f"{policy.trial_days} days did not decide: {reason}"
    if to is not None:
        trial_advance(trial, to, reason, evidence.as_dict(), now=now)


_AFTER = {
    "wait": None, "live": State.LIVE, "move": State.MOVED, "reject": State.REJECTED,
}  # fmt: skip


def _watch(trial: AutopilotTrial, policy: AutopilotPolicy, now: datetime) -> None:
    """Take a move back that has come to do harm."""
    scores, savings = pair_values(trial, trial.moved_at)
    reason = ""
    if turned_bad(scores, policy.terms):
        reason = f"of late it loses more than {policy.terms.margin:g}"
    elif harm := _failures(trial, now):
        reason = harm
    if reason:
        evidence = TrialEvidence(bounds_of(scores, savings, policy.terms), uses_taken(trial))
        trial_advance(trial, State.REVERTED, reason, evidence.as_dict(), now=now)


def _failures(trial: AutopilotTrial, now: datetime) -> str:
    """Return why a trial must end for its failures of late, "" if it need not."""
    failures = failures_compared(trial.name, now - _FAILURES_OF)
    if failures.low is not None and failures.low > _FAILURES:
        return f"it surely fails more often, by more than {_FAILURES:g}"
    return ""


def _allow(policy: AutopilotPolicy, now: datetime) -> None:
    """Set how many requests the live trials may answer today, as far as points and money go."""
    live = list(AutopilotTrial.objects.filter(state=State.LIVE))
    if not live:
        return
    today, month = day_start(now), month_start(now)
    left = min(
        policy.daily_points - points_at_risk(policy.terms, today),
        policy.monthly_points - points_at_risk(policy.terms, month),
    )
    broke = usd_spent(today) >= policy.daily_usd or usd_spent(month) >= policy.monthly_usd
    for trial in live:
        bounds = bounds_of(*pair_values(trial), policy.terms)
        more = 0 if broke else live_allowance(left / len(live), bounds.loss_high)
        uses_allow(trial, today.date(), more)


def _worst(bounds: AdoptionBounds) -> float:
    return max(bounds.loss_high, LEAST_LOSS)
