"""The page "Quality settings": settings that work at once, without a restart."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse

from analytics.access.audit import Actor
from optimizer.presentation.guarantee import guarantee_lines
from optimizer.wiring.build import get_services
from optimizer.wiring.operation.errors import SetElsewhere
from optimizer.wiring.operation.settings import SettingStanding

_GROUPS = (
    ("Judge", ("judge_model", "judge_rate", "judge_daily_budget")),
    ("Guarantee", ("guarantee_reference", "guarantee_tolerance", "guarantee_confidence")),
    ("Baseline", ("baseline_model",)),
    ("Shadow evaluation", ("shadow_rate", "shadow_daily_budget", "shadow_margin")),
    (
        "Autopilot",
        (
            "autopilot_rate", "autopilot_share", "autopilot_margin", "autopilot_confidence",
            "autopilot_daily_budget", "autopilot_monthly_budget", "autopilot_daily_points",
            "autopilot_monthly_points", "autopilot_trial_days",
        ),
    ),
)  # fmt: skip
_LABELS = {
    "judge_model": "Model", "judge_rate": "Share judged", "judge_daily_budget": "USD a day",
    "guarantee_reference": "Reference", "guarantee_tolerance": "Tolerance",
    "guarantee_confidence": "Confidence", "baseline_model": "Model", "shadow_rate": "Share",
    "shadow_daily_budget": "USD a day", "shadow_margin": "Margin", "autopilot_rate": "Share judged",
    "autopilot_share": "Traffic", "autopilot_margin": "Margin",
    "autopilot_confidence": "Confidence", "autopilot_daily_budget": "USD a day",
    "autopilot_monthly_budget": "USD a month", "autopilot_daily_points": "Points a day",
    "autopilot_monthly_points": "Points a month", "autopilot_trial_days": "Days",
}  # fmt: skip


class RuntimeSettingsForm(forms.Form):
    """The settings; those that the environment sets cannot be changed, and say so."""

    def __init__(self, standings: list[SettingStanding], *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._standings = {standing.spec.field: standing for standing in standings}
        for name, standing in self._standings.items():
            origin = {
                "environment": f"Set by {standing.set_by}.",
                "operator": "Set here.",
                "default": "The default.",
            }[standing.source]
            attributes = {"autocomplete": "off"}
            if not standing.spec.number:
                attributes["list"] = "models"
            self.fields[name] = forms.CharField(
                label=_LABELS[name],
                required=False,
                max_length=200,
                initial=str(standing.value),
                disabled=bool(standing.set_by),
                help_text=f"{standing.spec.what} {origin}",
                widget=forms.TextInput(attrs=attributes),
            )

    @property
    def groups(self) -> list[tuple[str, list[forms.BoundField]]]:
        """Return the fields under their headings."""
        return [(title, [self[name] for name in names]) for title, names in _GROUPS]

    @property
    def changes(self) -> dict[str, str | None]:
        """Return what differs from what is in force; an empty number returns to its default."""
        changes: dict[str, str | None] = {}
        for name in self.changed_data:
            text = self.cleaned_data[name].strip()
            number = self._standings[name].spec.number
            changes[name] = None if number and not text else text
        return changes


def settings_page(request: HttpRequest) -> HttpResponse:
    """Show the settings, or save those that were changed."""
    user: Any = request.user
    if not user.has_perm("analytics.view_runtimesetting"):
        raise PermissionDenied
    services = get_services()
    standings = services.quality.standings()
    form = RuntimeSettingsForm(standings)
    if request.method == "POST":
        if not user.has_perm("analytics.change_runtimesetting"):
            raise PermissionDenied
        form = RuntimeSettingsForm(standings, request.POST)
        if form.is_valid() and _saved(form, Actor(user.get_username())):
            messages.success(request, "Saved. All workers apply this within a second.")
            return HttpResponseRedirect(reverse("admin:settings"))
    guarantee = services.guarantee.guarantee()
    context = {
        **admin.site.each_context(request),
        "title": "Quality settings",
        "form": form,
        "models": sorted(spec.ref for spec in services.names.available() if spec.kind == "chat"),
        "guarantee": guarantee_lines(guarantee) if guarantee else [],
        "may_change": user.has_perm("analytics.change_runtimesetting"),
    }
    return TemplateResponse(request, "admin/runtime_settings.html", context)


def _saved(form: RuntimeSettingsForm, who: Actor) -> bool:
    """Put the changes into force; an error is shown at its field."""
    try:
        get_services().quality.change(form.changes, who=who)
    except ValidationError as error:
        form.add_error(None, error)
    except SetElsewhere as error:
        form.add_error(None, str(error))
    return not form.errors
