"""The admin's experiments: written, begun, looked at, ended."""

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
    """Says at the field what is no policy."""

    class Meta:
        model = Experiment
        fields = (
            "name", "note", "control", "treatment", "unit", "share", "planned_units",
            "quality_harm", "failure_harm",
        )  # fmt: skip

    def clean_control(self) -> str:
        return self._policy("control")

    def clean_treatment(self) -> str:
        return self._policy("treatment")

    def _policy(self, arm: str) -> str:
        text: str = self.cleaned_data[arm]
        try:
            read_arm(text, get_services().names)
        except PolicyError as error:
            raise ValidationError(str(error)) from None
        return text


@admin.register(Experiment)
class ExperimentAdmin(admin.ModelAdmin):
    """What has begun is not changed any more: that would falsify it."""

    form = ExperimentForm
    list_display = (
        "name", "status", "control", "treatment", "unit", "share", "started_at", "ended_at",
        "end_reason",
    )  # fmt: skip
    list_filter = ("status",)
    actions = ("start_selected", "stop_selected")
    readonly_fields = ("status", "results", "started_at", "ended_at", "end_reason")

    def get_fields(self, request: HttpRequest, obj: Experiment | None = None) -> Any:
        story = self.readonly_fields if obj is not None and obj.started_at else ()
        return (*story, *ExperimentForm.Meta.fields)

    def has_change_permission(self, request: HttpRequest, obj: Experiment | None = None) -> bool:
        draft = obj is None or obj.status == Experiment.Status.DRAFT
        return draft and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Experiment | None = None) -> bool:
        draft = obj is None or obj.status == Experiment.Status.DRAFT
        return draft and super().has_delete_permission(request, obj)

    def get_actions(self, request: HttpRequest) -> Any:
        actions = super().get_actions(request)
        # It would delete also what has begun.
        actions.pop("delete_selected", None)
        return actions

    @admin.display(description="what it shows")
    def results(self, experiment: Experiment) -> str:
        found = experiment_results(experiment)
        return render_to_string(
            "admin/experiment_results.html",
            {
                "experiment": experiment,
                "results": found,
                "rows": result_rows(found),
                "verdict": verdict(experiment, found),
            },
        )

    @admin.action(description="Start", permissions=["change"])
    def start_selected(self, request: HttpRequest, queryset: QuerySet[Experiment]) -> None:
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
        for experiment in queryset:
            if experiment_stop(experiment, f"Ended by {request.user.get_username()}."):
                self.log_change(request, experiment, "ended")
                self.message_user(request, f"{experiment.name} has ended.", messages.SUCCESS)
            else:
                self.message_user(request, f"{experiment.name} is not running.", messages.ERROR)
