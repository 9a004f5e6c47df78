"""Model admin of experiments: write, start, read and end them."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.loader import render_to_string

from analytics.experiments import (
    ExperimentError,
    experiment_results,
    experiment_start,
    experiment_stop,
)
from analytics.models import Experiment
from optimizer.policies.policy import PolicyError, read_arm
from optimizer.presentation.experiments import result_rows, verdict
from optimizer.wiring.build import get_services


class ExperimentForm(forms.ModelForm):
    """An experiment whose arms must be valid policies."""

    class Meta:
        model = Experiment
        fields = (
            "name", "note", "control", "treatment", "unit", "share", "planned_units",
            "quality_harm", "failure_harm",
        )  # fmt: skip

    def clean_control(self) -> str:
        """Check that the control arm is a policy."""
        return self._checked_policy("control")

    def clean_treatment(self) -> str:
        """Check that the treatment arm is a policy."""
        return self._checked_policy("treatment")

    def _checked_policy(self, arm: str) -> str:
        text: str = self.cleaned_data[arm]
        try:
            read_arm(text, get_services().names)
        except PolicyError as error:
            raise ValidationError(str(error)) from None
        return text


@admin.register(Experiment)
class ExperimentAdmin(admin.ModelAdmin):
    """Experiments; only a draft can be changed, because a later change would falsify results."""

    form = ExperimentForm
    list_display = (
        "name", "status", "control", "treatment", "unit", "share", "started_at", "ended_at",
        "end_reason",
    )  # fmt: skip
    list_filter = ("status",)
    actions = ("start_selected", "stop_selected")
    readonly_fields = ("status", "results", "started_at", "ended_at", "end_reason")

    def get_fields(self, request: HttpRequest, obj: Experiment | None = None) -> Any:
        """Show the results above the fields once the experiment has started."""
        result_fields = self.readonly_fields if obj is not None and obj.started_at else ()
        return (*result_fields, *ExperimentForm.Meta.fields)

    def has_change_permission(self, request: HttpRequest, obj: Experiment | None = None) -> bool:
        """Return whether the user may change ``obj``, which must be a draft."""
        draft = obj is None or obj.status == Experiment.Status.DRAFT
        return draft and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Experiment | None = None) -> bool:
        """Return whether the user may delete ``obj``, which must be a draft."""
        draft = obj is None or obj.status == Experiment.Status.DRAFT
        return draft and super().has_delete_permission(request, obj)

    def get_actions(self, request: HttpRequest) -> Any:
        """Return the actions without Django's bulk deletion."""
        actions = super().get_actions(request)
        # It would also delete experiments that have started.
        actions.pop("delete_selected", None)
        return actions

    @admin.display(description="results")
    def results(self, experiment: Experiment) -> str:
        """Return the results of both arms as HTML."""
        arm_results = experiment_results(experiment)
        return render_to_string(
            "admin/experiment_results.html",
            {
                "experiment": experiment,
                "results": arm_results,
                "rows": result_rows(arm_results),
                "verdict": verdict(experiment, arm_results),
            },
        )

    @admin.action(description="Start", permissions=["change"])
    def start_selected(self, request: HttpRequest, queryset: QuerySet[Experiment]) -> None:
        """Start the selected experiments, and report each that cannot start."""
        for experiment in queryset:
            try:
                experiment_start(experiment)
            except ExperimentError as error:
                self.message_user(request, str(error), messages.ERROR)
            else:
                self.log_change(request, experiment, "started")
                self.message_user(request, f"{experiment.name} has begun.", messages.SUCCESS)

    @admin.action(description="End", permissions=["change"])
    def stop_selected(self, request: HttpRequest, queryset: QuerySet[Experiment]) -> None:
        """End the selected experiments, and report each that is not running."""
        for experiment in queryset:
            if experiment_stop(experiment, f"Ended by {request.user.get_username()}."):
                self.log_change(request, experiment, "ended")
                self.message_user(request, f"{experiment.name} has ended.", messages.SUCCESS)
            else:
                self.message_user(request, f"{experiment.name} is not running.", messages.ERROR)
