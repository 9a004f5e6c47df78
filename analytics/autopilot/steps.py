"""The autopilot's switch, and the steps of its trials: each taken by one worker, and recorded."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils import timezone

from analytics.models import AutopilotStep, AutopilotSwitch, AutopilotTrial

State = AutopilotTrial.State
RUNNING = (State.SHADOW, State.LIVE)
OPEN = (State.NOTICED, *RUNNING, State.MOVED, State.REPLACED)
_DECISIVE = (State.MOVED, State.REJECTED, State.REVERTED)
_SWITCH = "the autopilot"


def autopilot_on(*, by_default: bool) -> bool:
    """Return whether the autopilot is on: as an operator has set it, else as the settings say."""
    row = AutopilotSwitch.objects.filter(pk=1).first()
    return by_default if row is None else row.on


def autopilot_switch(*, on: bool, who: str) -> AutopilotSwitch:
    """Switch the autopilot on or off, and record who did.

    Off means that it has no effect: traffic that it moved goes back to routing's own choice until
    it is on again.
    """
    with transaction.atomic():
        row, _ = AutopilotSwitch.objects.update_or_create(
            pk=1, defaults={"on": on, "who": who, "changed_at": timezone.now()}
        )
        AutopilotStep.objects.create(
            subject=_SWITCH, after=str(row), reason="an operator switched it", who=who
        )
    return row


def trial_advance(
    trial: AutopilotTrial,
    to: str,
    reason: str,
    evidence: Mapping[str, Any] | None = None,
    *,
    who: str = "",
    now: datetime | None = None,
) -> AutopilotStep | None:
    """Take ``trial`` to another state and record why; ``None`` if another worker was first.

    A move replaces the tier's move before it; taking it back restores that one.
    """
    now = now or timezone.now()
    changes: dict[str, Any] = {"state": to, "changed_at": now}
    if to == State.SHADOW:
        changes["started_at"] = now
    elif to == State.MOVED:
        changes["moved_at"] = now
    try:
        with transaction.atomic():
            rows = AutopilotTrial.objects.filter(pk=trial.pk, state=trial.state)
            if not rows.update(**changes):
                return None
            step = _record(trial, to, reason, evidence or {}, who, now)
            if to == State.MOVED:
                _replace_others(trial, now)
            elif to == State.REVERTED:
                _restore(trial, now)
    except IntegrityError:  # another trial of this tier has begun
        return None
    trial.refresh_from_db()
    return step


def trial_revert(trial: AutopilotTrial, *, who: str) -> AutopilotStep | None:
    """Take a move back, or end a trial, as an operator wants; ``None`` if it has ended already."""
    ends = {
        State.MOVED: State.REVERTED, State.REPLACED: State.REVERTED, State.NOTICED: State.REJECTED,
        State.SHADOW: State.REJECTED, State.LIVE: State.REJECTED,
    }  # fmt: skip
    to = ends.get(State(trial.state))
    return trial_advance(trial, to, "an operator ended it", who=who) if to else None


def trial_release(trial: AutopilotTrial, *, who: str) -> AutopilotStep | None:
    """Let routing choose a model again that was held back; ``None`` if it was not held."""
    with transaction.atomic():
        if not AutopilotTrial.objects.filter(pk=trial.pk, held=True).update(held=False):
            return None
        return _record(
            trial, trial.state, "an operator lets routing choose it", {}, who, timezone.now()
        )


def decisive_steps(since: datetime) -> QuerySet[AutopilotStep]:
    """Return the steps since then that moved traffic, took it back or rejected a model."""
    return AutopilotStep.objects.filter(at__gte=since, after__in=_DECISIVE).order_by("pk")


def _replace_others(trial: AutopilotTrial, now: datetime) -> None:
    before = AutopilotTrial.objects.filter(tier=trial.tier, state=State.MOVED).exclude(pk=trial.pk)
    for other in before.select_for_update():
        _record(other, State.REPLACED, f"{trial.ref} takes its place", {}, "", now)
        AutopilotTrial.objects.filter(pk=other.pk).update(
            state=State.REPLACED, replaced_by=trial, changed_at=now
        )


def _restore(trial: AutopilotTrial, now: datetime) -> None:
    replaced = AutopilotTrial.objects.filter(replaced_by=trial, state=State.REPLACED)
    other = replaced.select_for_update().order_by("-moved_at").first()
    if other is not None:
        _record(other, State.MOVED, f"{trial.ref} was taken back", {}, "", now)
        # Its pairs from before say nothing of now: it is watched from here on.
        AutopilotTrial.objects.filter(pk=other.pk).update(
            state=State.MOVED, replaced_by=None, moved_at=now, changed_at=now
        )


def _record(
    trial: AutopilotTrial,
    to: str,
    reason: str,
    evidence: Mapping[str, Any],
    who: str,
    now: datetime,
) -> AutopilotStep:
    return AutopilotStep.objects.create(
        at=now,
        trial=trial,
        subject=str(trial)[:220],
        before=trial.state,
        after=to,
        reason=reason[:300],
        who=who,
        evidence=dict(evidence),
    )
