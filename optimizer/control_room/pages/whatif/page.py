"""The page "What if": what other policies would have cost, and how good answers would have been."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, cast
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest
from django.template.response import TemplateResponse

from analytics.ledger.daily_totals import known_values
from analytics.reports.usage import period_start
from optimizer.control_room.demo import demo_view
from optimizer.control_room.pages.whatif.form import WhatIfForm
from optimizer.control_room.pages.whatif.kept_studies import study_go_on, study_key
from optimizer.lab.whatif.study import Answer, WhatIfStudy
from optimizer.policies.policy import STRATEGIES
from optimizer.presentation.guarantee import guarantee_lines
from optimizer.presentation.policy_forms import experiment_fields, rule_fields
from optimizer.presentation.whatif import basis, cost_rows, mixes, monthly, quality_rows, verdict
from optimizer.wiring.build import get_services
from optimizer.wiring.offline.demo_policies import demo_policies

_MAX_REQUESTS = 5_000
"""The most decisions that are made again, over all policies: it takes a few seconds."""
_SECONDS = 0.15
"""How long each call of the page's script decides."""
_MOST_MODELS = 12


def whatif_view(request: HttpRequest) -> HttpResponse:
    """Show the form; after it is submitted, a script loads the estimates into the page.

    With ``whole`` in the query they are in the page itself, for browsers without scripts.
    """
    services, form = _asked(request)
    guarantee = services.guarantee.guarantee()
    models = sorted({spec.id for spec in services.names.available() if spec.kind == "chat"})
    context: dict[str, Any] = {
        **admin.site.each_context(request),
        "title": "What if",
        "form": form,
        "guarantee": guarantee_lines(guarantee) if guarantee else [],
        "policies": [*STRATEGIES, *models],
        "quick": _quick_links(models),
    }
    if form.is_valid():
        context["asked"] = request.GET.urlencode()
        if "whole" in request.GET:
            context |= _estimates(services, form.cleaned_data, request)
    return TemplateResponse(request, "admin/whatif.html", context)


def whatif_estimates_view(request: HttpRequest) -> HttpResponse:
    """Return the estimates on the requests that are decided so far, side by side.

    Each call decides more of them. The page's script asks again until all are.
    """
    services, form = _asked(request)
    if not form.is_valid():
        return HttpResponseBadRequest("The policies cannot be read.")
    context = _estimates(services, form.cleaned_data, request, _SECONDS)
    context["again"] = request.get_full_path()
    return TemplateResponse(request, "admin/whatif_estimates.html", context)


def _asked(request: HttpRequest) -> tuple[Any, WhatIfForm]:
    """Return the services that answer, and the form as it was submitted, if it was.

    Raises ``PermissionDenied``.
    """
    if not request.user.has_perm("analytics.view_routingmetric"):  # type: ignore[union-attr]
        raise PermissionDenied
    services: Any = demo_policies() if demo_view(request).here else get_services()
    return services, WhatIfForm(services.names, request.GET if "policy" in request.GET else None)


def _quick_links(models: Sequence[str]) -> list[tuple[str, str]]:
    """Return (text, query) of questions asked by one click, on models in use before others."""
    used = set(known_values("model"))
    ordered = sorted(models, key=lambda model: model not in used)
    return [(model, urlencode({"policy": model, "days": 30, "named": "on"})) for model in ordered]


def _estimates(
    services: Any, asked: dict[str, Any], request: HttpRequest, seconds: float | None = None
) -> dict[str, Any]:
    """Return what the template shows of the policies that the form asks about.

    Past requests are decided for so many ``seconds``, or else all of them.
    """
    policies, what_if = asked["policy"], services.what_if

    def key(rules: Any) -> str:
        return study_key(
            demo_view(request).here, policies, asked["days"], asked["named"], rules,
            sorted(spec.ref for spec in services.names.available()),
        )  # fmt: skip

    def begin() -> WhatIfStudy:
        services.rules.refresh()
        services.evidence.refresh()
        most, since = _MAX_REQUESTS // len(policies), period_start(asked["days"])
        return cast(WhatIfStudy, what_if.begin(policies, since, most=most, named=asked["named"]))

    study = study_go_on(what_if, key, services.rules.rules, begin, seconds)
    may, answers = request.user.has_perm, study.answers()  # type: ignore[union-attr]
    return {
        "study": study,
        "estimates": [
            {
                "name": answer.policy.name,
                "monthly": monthly(answer),
                "verdict": _verdict(answer),
                "basis": basis(answer),
                "figures": [*cost_rows(answer), *quality_rows(answer)],
                **_next_steps(answer, may),
            }
            for answer in answers
        ],
        "mix": mixes(answers),
    }


def _verdict(answer: Answer) -> str:
    """Return the verdict without the policy's name, which is its heading."""
    return verdict(answer, settings.QUALITY_TOLERANCE).removeprefix(f"{answer.policy.name}: ")


def _next_steps(answer: Answer, may: Any) -> dict[str, str]:
    """Return the queries that fill the forms of a rule and of an experiment, where they can be."""
    note = f"{verdict(answer, settings.QUALITY_TOLERANCE)} What if, {datetime.now(UTC):%Y-%m-%d}."
    rule = rule_fields(answer.policy, note) if may("analytics.add_routingrule") else None
    trial = experiment_fields(answer.policy, note) if may("analytics.add_experiment") else None
    return {
        "rule": urlencode(rule) if rule else "",
        "experiment": urlencode(trial) if trial else "",
    }
