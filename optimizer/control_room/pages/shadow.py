"""The page "Shadow": what routing would have answered, and the buttons that move kinds to it."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.views.decorators.http import require_POST

from analytics.access.audit import Actor
from analytics.models import ShadowMove
from analytics.quality.shadow_moves import AlreadyMoved, NothingToMove, NothingToUndo, movable
from optimizer.control_room.pages.period import PERIODS, ReportPeriod
from optimizer.presentation.shadow import (
    KIND_HEADINGS,
    PART_HEADINGS,
    PARTS,
    funnel_lines,
    kind_row,
    moved_line,
    part_row,
    summary_line,
)
from optimizer.wiring.operation.settings import settings_in_force
from optimizer.wiring.operation.shadow import latest_moves, move_ready, shadow_now, undo_last

_MOST_MOVES = 20
_RIGHTS_TO_MOVE = ("analytics.add_routingrule", "analytics.delete_routingrule")


def shadow_page(request: HttpRequest) -> HttpResponse:
    """Show the pairs of a period by kind, and what a move would do."""
    _require(request, "analytics.view_comparison")
    period, report = _report(request)
    ready = movable(report)
    context: dict[str, Any] = {
        **admin.site.each_context(request),
        "title": "Shadow evaluation",
        "period": period,
        "periods": PERIODS,
        "on": settings_in_force().shadow_rate > 0,
        "summary": summary_line(report),
        "funnel": funnel_lines(report),
        "headings": KIND_HEADINGS,
        "kinds": [kind_row(kind) for kind in report["kinds"]],
        "part_headings": PART_HEADINGS[1:],
        "parts": [
            (title, [part_row(name, part) for part in report["by"][name]])
            for name, title in PARTS.items()
        ]
        if report["overall"]["pairs"]
        else [],
        "ready": [moved_line(kind) for kind in ready],
        "margin": report["margin"],
        "may_move": request.user.has_perms(_RIGHTS_TO_MOVE),  # type: ignore[union-attr]
        "moves": latest_moves(_MOST_MOVES),
        "in_force": ShadowMove.objects.filter(undone_at=None).first(),
    }
    return TemplateResponse(request, "admin/shadow.html", context)


@require_POST
def shadow_move_view(request: HttpRequest) -> HttpResponse:
    """Leave the kinds whose bound holds to routing."""
    _require(request, *_RIGHTS_TO_MOVE)
    _, report = _report(request)
    try:
        move = move_ready(report, who=Actor(request.user.get_username()))
    except (NothingToMove, AlreadyMoved) as error:
        messages.warning(request, f"{error} Nothing was changed.")
        return _back(request)
    messages.success(request, f"Left to routing: {'; '.join(map(moved_line, move.evidence))}.")
    return _back(request)


@require_POST
def shadow_undo_view(request: HttpRequest) -> HttpResponse:
    """Delete the rules of the last move."""
    _require(request, *_RIGHTS_TO_MOVE)
    try:
        move = undo_last(who=Actor(request.user.get_username()))
    except NothingToUndo as error:
        messages.warning(request, str(error))
        return _back(request)
    messages.success(request, f"Undone: {', '.join(move.rules)}.")
    return _back(request)


def _report(request: HttpRequest) -> tuple[ReportPeriod, dict[str, Any]]:
    values = request.GET if request.method == "GET" else request.POST
    period = ReportPeriod.from_query(values)
    return period, shadow_now(period.since, period.until)


def _require(request: HttpRequest, *permissions: str) -> None:
    if not request.user.has_perms(permissions):  # type: ignore[union-attr]
        raise PermissionDenied


def _back(request: HttpRequest) -> HttpResponse:
    query = ReportPeriod.from_query(request.POST).query
    return HttpResponseRedirect(f"{reverse('admin:shadow')}?{query}")
