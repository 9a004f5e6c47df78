"""The requests and sessions of one client, for the client: no row of anybody else's."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.db.models import Max, Min, Q

from analytics.models import RequestRecord
from analytics.reports.own_usage import SUMS, Owner, latest_of
from analytics.reports.request_explanation import CallLine, RequestExplanation

PAGE = 50
MOST_CALLS = 200
_COLUMNS = (
    "created_at", "status", "endpoint", "provider", "model", "session_id", "tokens_in",
    "tokens_out", "cost", "savings", "cache_hit", "latency_ms", "error_code", "agent", "turn",
)  # fmt: skip
_SESSION = {
    **SUMS,
    "started_at": Min("created_at"),
    "last_at": Max("created_at"),
}


@dataclass(frozen=True, slots=True)
class OwnPage:
    """One page of requests, the latest first; ``older`` is the last one's id if more follow."""

    requests: list[RequestRecord]
    older: uuid.UUID | None


def own_requests(owner: Owner, *, before: str = "") -> OwnPage:
    """Return the owner's requests, those ``before`` one of them if that is given by its id.

    Refused requests are among them: their owner wants to know why.
    """
    rows = RequestRecord.objects.filter(owner.rows())
    if before and (last := own_request(owner, before)) is not None:
        rows = rows.filter(
            Q(created_at__lt=last.created_at) | Q(created_at=last.created_at, pk__lt=last.pk)
        )
    page = list(rows.only(*_COLUMNS).order_by("-created_at", "-pk")[: PAGE + 1])
    return OwnPage(page[:PAGE], page[PAGE - 1].pk if len(page) > PAGE else None)


def own_request(owner: Owner, request_id: str) -> RequestRecord | None:
    """Return one request with its decision; ``None`` for any other than the owner's."""
    try:
        pk = uuid.UUID(request_id)
    except ValueError:
        return None
    rows = RequestRecord.objects.filter(owner.rows(), pk=pk)
    return rows.select_related("decision").first()


def own_sessions(owner: Owner, since: datetime) -> list[dict[str, Any]]:
    """Return the owner's sessions since then, the latest first, at most :data:`PAGE`.

    They are those of the latest requests, as many as a page sums.

    The sums are of the owner's own requests. Colleagues in a team may use the same id: what they
    asked is not in them.
    """
    rows, _ = latest_of(
        RequestRecord.objects.admitted().filter(owner.rows(), created_at__gte=since)
    )
    sessions = rows.exclude(session_id="").values("session_id").annotate(**_SESSION)
    return list(sessions.order_by("-last_at", "session_id")[:PAGE])


def own_session(owner: Owner, session_id: str) -> dict[str, Any] | None:
    """Return the sums of one session and its latest calls, the oldest first."""
    rows = RequestRecord.objects.admitted().filter(owner.rows(), session_id=session_id)
    sums = rows.aggregate(**_SESSION) if session_id else {"requests": 0}
    if not sums["requests"]:
        return None
    calls = list(rows.only(*_COLUMNS).order_by("-created_at", "-pk")[:MOST_CALLS])
    return {**sums, "session_id": session_id, "calls": calls[::-1]}


def own_calls(request: RequestRecord, story: RequestExplanation | None) -> list[CallLine]:
    """Return the calls of a request, without what providers said of failures.

    Their messages may be about the operator's account.
    """
    if story is None:
        return []
    if story.cascade is not None:
        return story.calls
    failed = [replace(call, outcome="failed") for call in story.calls[: len(request.attempts)]]
    return [*failed, *story.calls[len(request.attempts) :]]
