"""The views of the page "Explore"."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.template.response import TemplateResponse
from django.urls import reverse
from django.views.decorators.http import require_POST

from analytics.database.replicas import reading_elsewhere
from analytics.exports.csv import csv_lines
from analytics.reports.exploration.cells import most_requests
from analytics.reports.exploration.dimensions import DIMENSIONS
from analytics.reports.exploration.explore import MOST_TIMED, ExploredSpending, explore
from analytics.saved_views import ViewError, view_delete, view_save, views_of
from optimizer.control_room.demo import demo_view
from optimizer.control_room.pages.explore.address import GROUPS, ExploreAddress
from optimizer.control_room.pages.explore.tables import (
    MOST_ROWS,
    cards,
    chart,
    csv_rows,
    group_rows,
    headings,
    mover_lines,
    requests_address,
)
from optimizer.control_room.pages.period import DEAREST_FIRST, PERIODS, ReportPeriod
from optimizer.presentation.change_causes import cause_lines, cause_sentence
from optimizer.wiring.build import get_services

_MOST_CHARS = 2_000


@reading_elsewhere()
def explore_page(request: HttpRequest) -> HttpResponse:
    """Show the answer to the question that the address asks."""
    _check(request)
    address, now = ExploreAddress.from_query(request.GET.dict()), datetime.now(UTC)
    if request.GET.get("add") is not None:
        return HttpResponseRedirect(f"{request.path}?{address.query()}")
    answer = _answer(address, now)
    query = address.query()
    context: dict[str, Any] = {
        **admin.site.each_context(request),
        "title": "Explore",
        "address": address,
        "query": query,
        "fixed_query": address.fixed(now).query(),
        "answer": answer,
        "limits": _limits(answer),
        "periods": _periods(address, now),
        "groups": GROUPS,
        "dimensions": DIMENSIONS,
        "first": address.by[0] if address.by else "",
        "second": address.by[1] if len(address.by) > 1 else "",
        "kept": _kept(address),
        "chips": [
            (GROUPS[name], value, address.without(name).query())
            for name, value in address.filters.items()
        ],
        "cards": cards(answer, address),
        "names": [GROUPS[name] for name in address.by],
        "headings": headings(address),
        "rows": group_rows(answer, address),
        "more": max(0, len(answer.groups) - MOST_ROWS),
        "movers": mover_lines(answer, address),
        "sentence": cause_sentence(answer.why),
        "causes": cause_lines(answer.why),
        "dearest": f"{requests_address(answer, {}, None)}&o={DEAREST_FIRST}",
        "chart": chart(answer, address),
        "views": [] if demo_view(request).here else views_of(request.user),
        "may_save": not demo_view(request).here,
    }
    return TemplateResponse(request, "admin/explore.html", context)


@reading_elsewhere()
def explore_export(request: HttpRequest) -> HttpResponse:
    """Return all groups of the question as CSV."""
    _check(request)
    address = ExploreAddress.from_query(request.GET.dict())
    rows = csv_rows(_answer(address, datetime.now(UTC), most_timed=None), address)
    return HttpResponse(
        csv_lines(rows),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": 'attachment; filename="explore.csv"'},
    )


@require_POST
def explore_save(request: HttpRequest) -> HttpResponse:
    """Keep the question under a name for this user; a name that exists gets the new question."""
    _check(request)
    query = ExploreAddress.from_query(_parameters(request)).query()
    try:
        view = view_save(request.user, name=request.POST.get("name", ""), query=query)
    except ViewError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, f"The view “{view.name}” is saved.")
    return HttpResponseRedirect(f"{reverse('admin:explore')}?{query}")


@require_POST
def explore_forget(request: HttpRequest) -> HttpResponse:
    """Remove one of this user's views."""
    _check(request)
    view_delete(request.user, request.POST.get("view", ""))
    query = ExploreAddress.from_query(_parameters(request)).query()
    return HttpResponseRedirect(f"{reverse('admin:explore')}?{query}")


def _check(request: HttpRequest) -> None:
    if not request.user.has_perm("analytics.view_requestrecord"):  # type: ignore[union-attr]
        raise PermissionDenied


def _answer(
    address: ExploreAddress, now: datetime, most_timed: int | None = MOST_TIMED
) -> ExploredSpending:
    weights = get_services().price_service.output_weights()
    return explore(address.question(now), weights, most_timed=most_timed)


def _parameters(request: HttpRequest) -> dict[str, str]:
    return QueryDict(request.POST.get("query", "")[:_MOST_CHARS]).dict()


def _periods(address: ExploreAddress, now: datetime) -> list[tuple[str, str, bool]]:
    """Return the offered periods: name, address, and whether it is the one that is shown."""
    today = now.date()
    yesterday = today - timedelta(days=1)
    offered = [
        ("Today", ReportPeriod.between(today, today)),
        ("Yesterday", ReportPeriod.between(yesterday, yesterday)),
        *(
            ("24 hours" if days == 1 else f"{days} days", ReportPeriod.last_days(days, now))
            for days in PERIODS
        ),
    ]
    return [
        (name, address.over(period).query(), period.query == address.period.query)
        for name, period in offered
    ]


def _kept(address: ExploreAddress) -> list[tuple[str, str]]:
    """Return the parameters that the form of filters and groups keeps."""
    asked = {"sort": address.sort, **address.filters}
    if address.measure != "spend":
        asked["measure"] = address.measure
    return [(name, value) for name, value in asked.items() if value]


def _limits(answer: ExploredSpending) -> list[str]:
    """Return what of the question could not be read, and what would read it."""
    limits = []
    if answer.question.compared_until is not None:
        limits.append(
            "This period is not over: it is compared with as much of the one before, until "
            f"{answer.question.compared_until:%Y-%m-%d %H:%M} UTC."
        )
    if answer.left_out:
        shown = MOST_TIMED + answer.left_out
        limits.append(
            f"By time, the {MOST_TIMED} largest of {shown:,} are shown; the CSV file has all."
        )
    if answer.is_shortened:
        most = most_requests(answer.question.dimensions)
        limits.append(
            "No sums are kept for these dimensions together, so this page reads requests one by "
            f"one, {most:,} at most: {_span(answer)}. A shorter period, or a filter by user, "
            "session, team or model, shows all of its part."
        )
    elif answer.why.question.since != answer.question.since:
        limits.append(
            "Why spending changed is read from the requests one by one, "
            f"{most_requests(()):,} at most: {_span(answer, why=True)}."
        )
    return limits


def _span(answer: ExploredSpending, *, why: bool = False) -> str:
    question = answer.why.question if why else answer.question
    return (
        f"those from {question.since:%Y-%m-%d %H:%M} to {question.until:%Y-%m-%d %H:%M} UTC, "
        "compared with as long a time before"
    )
