"""The words of the autopilot, for the terminal and the admin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from analytics.autopilot.course import AutopilotPolicy, TrialEvidence
from analytics.models import AutopilotStep, AutopilotTrial

TRIAL_HEADINGS = ("model", "tier", "state", "since", "pairs", "loses", "saves a request", "clients")


def trial_row(trial: AutopilotTrial, evidence: TrialEvidence) -> list[str]:
    """Return a trial as the cells of :data:`TRIAL_HEADINGS`."""
    bounds = evidence.bounds
    return [
        str(trial.ref),
        trial.tier,
        trial.get_state_display(),
        f"{trial.changed_at:%Y-%m-%d %H:%M}",
        str(bounds.pairs),
        _bounded(bounds.loss, bounds.loss_low, bounds.loss_high) if bounds.pairs else "–",
        _usd(bounds.saving, bounds.saving_low, bounds.saving_high),
        str(evidence.live),
    ]


def trial_line(trial: AutopilotTrial, evidence: TrialEvidence) -> str:
    """Return a trial in one line."""
    state = f"{trial.get_state_display()} since {trial.changed_at:%Y-%m-%d %H:%M}"
    return f"{trial.pk}: {trial}: {state}. {evidence_text(evidence.as_dict())}"


def evidence_text(evidence: Mapping[str, Any]) -> str:
    """Return the evidence that a step went by, in one line; "" if it has none."""
    if "loss" not in evidence:
        return ""
    e = evidence
    return (
        f"{e['pairs']} pairs, loses {_bounded(e['loss'], e['loss_low'], e['loss_high'])}, saves "
        f"{_usd(e['saving'], e['saving_low'], e['saving_high'])} a request, {e['live']} clients' "
        "requests"
    )


def step_line(step: AutopilotStep) -> str:
    """Return a step with its reason and evidence."""
    by = f" ({step.who})" if step.who else ""
    change = f"{step.before} → {step.after}" if step.before else step.after
    evidence = evidence_text(step.evidence)
    return f"{step.at:%Y-%m-%d %H:%M} {step.subject}: {change}, as {step.reason}{by}" + (
        f". {evidence}" if evidence else ""
    )


def policy_line(policy: AutopilotPolicy) -> str:
    """Return what the autopilot may do, in one sentence."""
    return (
        f"It may spend ${policy.daily_usd:f} a day and ${policy.monthly_usd:f} a month, and risk "
        f"{policy.daily_points:g} points of quality a day and {policy.monthly_points:g} a month; "
        f"it moves traffic to a model that surely ({100 * (1 - policy.terms.delta):g} %) "
        f"loses at most {policy.terms.margin:g} and costs less."
    )


def _bounded(value: float, low: float, high: float) -> str:
    return f"{value:.3f} ({low:.3f} to {high:.3f})"


def _usd(value: float | None, low: float | None, high: float | None) -> str:
    if value is None:
        return "–"
    if low is None or high is None:
        return f"${value:.6f}"
    return f"${value:.6f} ({low:.6f} to {high:.6f})"
