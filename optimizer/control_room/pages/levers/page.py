"""Shows the levers with their latest results, and saves what an operator changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse

from analytics.levers import lever_changes, lever_save, levers_load
from analytics.models import Lever, LeverChange
from analytics.reports.levers import LEVER_PERIODS, TOGETHER, results_kept
from optimizer.control_room.pages.levers.form import LeverForm
from optimizer.domain.levers import LEVERS
from optimizer.policies.levers import LeverState
from optimizer.presentation.levers import computed_text, harm_text, lever_row, together_lines
from optimizer.wiring.build import get_services

_DEFAULT_DAYS = 7
_CHANGES = 50


@dataclass(frozen=True, slots=True)
class LeverShown:
    """One lever as the page shows it; ``figures`` is ``None`` where nothing was measured."""

    name: str
    what: str
    state: LeverState
    stopped: str
    figures: dict[str, str] | None
    harm: str
    form: LeverForm


def levers_page(request: HttpRequest) -> HttpResponse:
    """Show the levers, or save the one that was sent."""
    user: Any = request.user
    if not user.has_perm("analytics.view_lever"):
        raise PermissionDenied
    rows = {row.name: row for row in levers_load()}
    sent: LeverForm | None = None
    if request.method == "POST":
        if not user.has_perm("analytics.change_lever"):
            raise PermissionDenied
        sent = _sent(request, rows)
        if sent.is_valid():
            lever_save(sent.instance, who=user.get_username())
            _note(request, sent.instance.name, sent.instance.mode)
            return HttpResponseRedirect(f"{reverse('admin:levers')}#{sent.instance.name}")
    days = request.GET.get("days", "")
    days_shown = int(days) if days.isdigit() and int(days) in LEVER_PERIODS else _DEFAULT_DAYS
    results = results_kept(days_shown)
    together = results.get(TOGETHER)
    context = {
        **admin.site.each_context(request),
        "title": "Levers",
        "days": days_shown,
        "periods": LEVER_PERIODS,
        "levers": _shown(rows, results, sent),
        "together": [] if together is None else together_lines(together.figures),
        "together_refused": "" if together is None else together.figures["refused"],
        "computed": computed_text(results),
        "changes": [_change(change) for change in lever_changes(most=_CHANGES)],
        "may_change": user.has_perm("analytics.change_lever"),
    }
    return TemplateResponse(request, "admin/levers.html", context)


def _shown(
    rows: dict[str, Lever], results: dict[str, Any], sent: LeverForm | None
) -> list[LeverShown]:
    levers = get_services().levers
    levers.refresh()
    shown = []
    for name, what in LEVERS.items():
        state, row, result = levers.states[name], rows.get(name), results.get(name)
        form = sent if sent is not None and sent.instance.name == name else None
        shown.append(LeverShown(
            name,
            what,
            state,
            "" if row is None or row.stopped_at is None else row.stop_reason,
            None if result is None else lever_row(name, result.figures),
            "" if result is None else harm_text(result.figures.get("harm")),
            form or LeverForm(instance=row or Lever(name=name, mode=state.mode), prefix=name),
        ))  # fmt: skip
    return shown


def _sent(request: HttpRequest, rows: dict[str, Lever]) -> LeverForm:
    name = request.POST.get("lever", "")
    if name not in LEVERS:
        raise Http404(f"There is no lever {name!r}.")
    return LeverForm(request.POST, instance=rows.get(name) or Lever(name=name), prefix=name)


def _note(request: HttpRequest, name: str, mode: str) -> None:
    levers = get_services().levers
    levers.refresh()
    if levers.states[name].mode == mode:
        messages.success(request, f"{name} is now: {mode}.")
    else:
        messages.warning(
            request, f"Saved, but a setting of the environment keeps {name} {levers.mode(name)}."
        )


def _change(change: LeverChange) -> dict[str, Any]:
    before, after = change.before or {}, change.after or {}
    fields = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return {
        "lever": change.lever,
        "who": change.who,
        "at": change.at,
        "what": "; ".join(
            f"{name.replace('_', ' ')}: {before.get(name, '–')} → {after.get(name, '–')}"
            for name in fields
        ),
    }
