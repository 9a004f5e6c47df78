"""The admin's page that says what a policy would do, before anyone switches."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from analytics.reports.usage import period_start
from optimizer.policies.policy import STRATEGIES, PolicyError, PolicySpec, read_policy
from optimizer.presentation.guarantee import guarantee_lines
from optimizer.presentation.whatif import basis, cost_rows, quality_rows, shares, verdict
from optimizer.wiring.build import get_services

_MOST = 5_000
"""Decided anew while somebody waits: a second or two."""


class PolicyField(forms.CharField):
    """A policy by its name, as the command has it; files are for the command."""

    def clean(self, value: Any) -> PolicySpec:
        text = super().clean(value).strip()
        if text.endswith(".toml"):
            raise forms.ValidationError("Files are for manage.py whatif.")
        try:
            return read_policy(text, get_services().names)
        except PolicyError as error:
            raise forms.ValidationError(str(error)) from None


class WhatIfForm(forms.Form):
    policy = PolicyField(
        initial="hybrid",
        widget=forms.TextInput(attrs={"list": "policies", "size": 40, "autocomplete": "off"}),
        help_text="A strategy or a model; @0.8 behind it sets the quality target.",
    )
    days = forms.IntegerField(initial=30, min_value=1, max_value=365)


def whatif_view(request: HttpRequest) -> HttpResponse:
    """The form and, once it is filled in, the answer."""
    if not request.user.has_perm("analytics.view_routingmetric"):  # type: ignore[union-attr]
        raise PermissionDenied
    asked = "policy" in request.GET
    form = WhatIfForm(request.GET if asked else None)
    services = get_services()
    context: dict[str, Any] = {
        **admin.site.each_context(request),
        "title": "What if",
        "form": form,
        "guarantee": guarantee_lines(services.guarantee.guarantee()) if services.guarantee else [],
        "known": [*STRATEGIES, *sorted({spec.id for spec in services.names.available()})],
    }
    if asked and form.is_valid():
        services.rules.refresh()
        services.evidence.refresh()
        since = period_start(form.cleaned_data["days"])
        answer = services.what_if.ask(form.cleaned_data["policy"], since, most=_MOST)
        context |= {
            "answer": answer,
            "verdict": verdict(answer, settings.QUALITY_TOLERANCE),
            "basis": basis(answer),
            "figures": [*cost_rows(answer), *quality_rows(answer)],
            "mix": shares(answer),
        }
    return TemplateResponse(request, "admin/whatif.html", context)
