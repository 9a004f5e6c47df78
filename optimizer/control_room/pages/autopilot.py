"""The page "Autopilot": its switch and budgets, the models on trial, and each of its steps."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django.views.decorators.http import require_POST

from analytics.autopilot.course import evidence_of_trials, points_at_risk, usd_spent
from analytics.autopilot.steps import OPEN, autopilot_on, autopilot_switch, trial_revert
from analytics.autopilot.uses import day_start, month_start
from analytics.models import AutopilotStep, AutopilotTrial
from optimizer.presentation.autopilot import (
    TRIAL_HEADINGS,
    evidence_text,
    policy_line,
    trial_row,
)
from optimizer.wiring.autopilot import autopilot_obstacle, autopilot_policy
from optimizer.wiring.operation.settings import settings_in_force

_MOST_ROWS = 100
_RIGHT = "analytics.change_autopilotswitch"


def autopilot_page(request: HttpRequest) -> HttpResponse:
    """Show what the autopilot does, and why."""
    if not request.user.has_perm("analytics.view_autopilottrial"):  # type: ignore[union-attr]
        raise PermissionDenied
    product = settings_in_force()
    policy, now = autopilot_policy(product), datetime.now(UTC)
    trials = list(AutopilotTrial.objects.all()[:_MOST_ROWS])
    evidence = evidence_of_trials(trials, policy.terms)
    spans = (("Today", day_start(now)), ("This month", month_start(now)))
    context: dict[str, Any] = {
        **admin.site.each_context(request),
        "title": "Autopilot",
        "on": autopilot_on(by_default=product.autopilot),
        "obstacle": autopilot_obstacle(product),
        "policy": policy_line(policy),
        "used": [
            (name, usd_spent(since), points_at_risk(policy.terms, since)) for name, since in spans
        ],
        "limits": (
            (policy.daily_usd, policy.daily_points),
            (policy.monthly_usd, policy.monthly_points),
        ),
        "headings": TRIAL_HEADINGS,
        "trials": [
            (trial.pk, trial.state in OPEN, trial_row(trial, shown))
            for trial, shown in zip(trials, evidence, strict=True)
        ],
        "steps": [
            (step, evidence_text(step.evidence))
            for step in AutopilotStep.objects.all()[:_MOST_ROWS]
        ],
        "may_change": request.user.has_perm(_RIGHT),  # type: ignore[union-attr]
    }
    return TemplateResponse(request, "admin/autopilot.html", context)


@require_POST
def autopilot_switch_view(request: HttpRequest) -> HttpResponse:
    """Switch the autopilot on or off."""
    _require_right(request)
    on = request.POST.get("on") == "1"
    obstacle = autopilot_obstacle(settings_in_force())
    if on and obstacle:
        messages.error(request, f"The autopilot cannot work: {obstacle}.")
    else:
        row = autopilot_switch(on=on, who=request.user.get_username())
        _log(request, row, f"Switched {row}.")
        messages.success(request, f"The autopilot is {row}; workers follow within seconds.")
    return HttpResponseRedirect(reverse("admin:autopilot"))


@require_POST
def autopilot_revert_view(request: HttpRequest, number: int) -> HttpResponse:
    """End a trial, or take its move back."""
    _require_right(request)
    trial = get_object_or_404(AutopilotTrial, pk=number)
    step = trial_revert(trial, who=request.user.get_username())
    if step is None:
        messages.warning(request, f"{trial} has ended already.")
    else:
        _log(request, trial, f"Now {step.after}.")
        messages.success(request, f"{trial}: {step.after}.")
    return HttpResponseRedirect(reverse("admin:autopilot"))


def _require_right(request: HttpRequest) -> None:
    if not request.user.has_perm(_RIGHT):  # type: ignore[union-attr]
        raise PermissionDenied


def _log(request: HttpRequest, row: Model, message: str) -> None:
    assert request.user.pk is not None
    LogEntry.objects.log_actions(
        request.user.pk, [row], CHANGE, change_message=message, single_object=True
    )
