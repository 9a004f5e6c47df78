"""The page "What if": the estimated effect of a policy on past traffic."""

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

_MAX_REQUESTS = 5_000
"""The most requests that are decided again while the user waits: it takes a second or two."""


class PolicyField(forms.CharField):
    """The name of a policy, written as for ``manage.py whatif``; files are not accepted."""

    def clean(self, value: Any) -> PolicySpec:
        """Return the policy of this name; an unknown policy is an error."""
        text = super().clean(value).strip()
        if text.endswith(".toml"):
            raise forms.ValidationError("Policy files work only with manage.py whatif.")
        try:
            return read_policy(text, get_services().names)
        except PolicyError as error:
            raise forms.ValidationError(str(error)) from None


class WhatIfForm(forms.Form):
    """A policy, and the number of past days to estimate it on."""

    policy = PolicyField(
        initial="hybrid",
        widget=forms.TextInput(attrs={"list": "policies", "size": 40, "autocomplete": "off"}),
        help_text="A strategy or a model. Append @0.8 to set the quality target.",
    )
    days = forms.IntegerField(initial=30, min_value=1, max_value=365)


def whatif_view(request: HttpRequest) -> HttpResponse:
    """Show the form and, after it is submitted, the estimate."""
    if not request.user.has_perm("analytics.view_routingmetric"):  # type: ignore[union-attr]
        raise PermissionDenied
    submitted = "policy" in request.GET
    form = WhatIfForm(request.GET if submitted else None)
    services = get_services()
    guarantee = services.guarantee.guarantee()
    context: dict[str, Any] = {
        **admin.site.each_context(request),
        "title": "What if",
        "form": form,
        "guarantee": guarantee_lines(guarantee) if guarantee else [],
        "policies": [*STRATEGIES, *sorted({spec.id for spec in services.names.available()})],
    }
    if submitted and form.is_valid():
        services.rules.refresh()
        services.evidence.refresh()
        since = period_start(form.cleaned_data["days"])
        estimate = services.what_if.ask(form.cleaned_data["policy"], since, most=_MAX_REQUESTS)
        context |= {
            "estimate": estimate,
            "verdict": verdict(estimate, settings.QUALITY_TOLERANCE),
            "basis": basis(estimate),
            "figures": [*cost_rows(estimate), *quality_rows(estimate)],
            "mix": shares(estimate),
        }
    return TemplateResponse(request, "admin/whatif.html", context)
