"""The visitor's own requests and sessions: a list and one page of each."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

from django.http import Http404, HttpRequest, HttpResponseBase
from django.views.decorators.http import require_safe

from analytics.database.replicas import reading_elsewhere
from analytics.reports.own_history import (
    MOST_CALLS,
    own_calls,
    own_request,
    own_requests,
    own_session,
    own_sessions,
)
from analytics.reports.request_explanation import explain_request
from analytics.reports.usage import period_start
from optimizer.me.visitor import Visitor, for_visitors, page

_SESSION_DAYS = 30


@require_safe
@for_visitors
def requests_page(request: HttpRequest, visitor: Visitor) -> HttpResponseBase:
    """List the requests, the latest first."""
    with reading_elsewhere():
        shown = own_requests(visitor.owner, before=request.GET.get("before", ""))
    return page(request, "me/requests.html", "Your requests", visitor, shown=shown)


@require_safe
@for_visitors
def request_page(request: HttpRequest, visitor: Visitor, request_id: uuid.UUID) -> HttpResponseBase:
    """Tell what happened to one request. Another's is answered like one that does not exist."""
    record = own_request(visitor.owner, str(request_id))
    if record is None:
        raise Http404
    decision = getattr(record, "decision", None)
    story = None if decision is None else explain_request(decision)
    return page(
        request,
        "me/request.html",
        "One request",
        visitor,
        record=record,
        story=story,
        calls=own_calls(record, story),
    )


@require_safe
@for_visitors
def sessions_page(request: HttpRequest, visitor: Visitor) -> HttpResponseBase:
    """List the sessions of agents and conversations, the latest first."""
    with reading_elsewhere():
        sessions = own_sessions(visitor.owner, period_start(_SESSION_DAYS, datetime.now(UTC)))
    return page(
        request, "me/sessions.html", "Your sessions", visitor,
        sessions=sessions, days=_SESSION_DAYS,
    )  # fmt: skip


@require_safe
@for_visitors
def session_page(request: HttpRequest, visitor: Visitor) -> HttpResponseBase:
    """Show one session, named by ``id`` in the query, with the visitor's calls in it."""
    session = own_session(visitor.owner, request.GET.get("id", ""))
    if session is None:
        raise Http404
    return page(
        request, "me/session.html", "One session", visitor,
        session=session, most=MOST_CALLS,
    )  # fmt: skip
