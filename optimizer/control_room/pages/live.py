"""The live page: decisions and spending as requests are recorded."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator
from contextlib import ExitStack

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.template.response import TemplateResponse

from analytics.reports.compared import ComparedWith
from optimizer.api.http.sse import EventStream, sse
from optimizer.control_room.access import staff_permission_required
from optimizer.control_room.baseline import picked_baseline
from optimizer.monitoring.live.feed import TooManyWatchers, Watcher
from optimizer.monitoring.live.request_event import RequestEvent, compare_events, recent
from optimizer.monitoring.live.sums import RunningSums
from optimizer.wiring.build import get_services

_MAY_VIEW = "analytics.view_requestrecord"
_INITIAL_EVENTS, _RESUME_EVENTS = 30, 200
"""How many past requests a new connection gets at most, and how many one that resumes."""
_HEARTBEAT_SECONDS = 15.0
"""Silence after which a comment is sent, so that no proxy closes the connection as idle."""
_MAX_STREAM_SECONDS = 300.0
"""Length of a stream; then the browser connects again, and its permission is checked again."""
_RETRY = b"retry: 1000\n\n"


def live_page(request: HttpRequest) -> HttpResponse:
    """Show the page; a script on it reads :func:`live_events`."""
    if not request.user.has_perm(_MAY_VIEW):  # type: ignore[union-attr]
        raise PermissionDenied
    context = {
        **admin.site.each_context(request),
        "title": "Live",
        "compared": picked_baseline(request),
        "other_workers_hidden": settings.WORKERS > 1 and not settings.SHARED_STORE,
    }
    return TemplateResponse(request, "admin/live.html", context)


@staff_permission_required(_MAY_VIEW)
async def live_events(request: HttpRequest) -> HttpResponseBase:
    """Stream the recorded requests as server-sent events.

    The events are ``request`` for each recorded request, ``sums`` of today and of the minutes
    that changed, and ``missed`` with the number of requests that came too fast for this reader.
    The stream begins with the latest requests, or with those since the ``Last-Event-ID`` if the
    browser sends one. A worker with too many watchers answers 503.
    """
    subscription = ExitStack()
    try:
        watcher = subscription.enter_context(get_services().feed.watch())
    except TooManyWatchers as error:
        return JsonResponse({"detail": str(error)}, status=503, headers={"Retry-After": "10"})
    compared = await sync_to_async(picked_baseline)(request)
    events = _event_stream(watcher, _last_seen(request), compared)
    return EventStream(events, subscription.close, {})


def _last_seen(request: HttpRequest) -> str:
    try:
        return str(uuid.UUID(request.headers.get("Last-Event-ID", "")))
    except ValueError:
        return ""


async def _event_stream(
    watcher: Watcher, last_seen: str, compared: ComparedWith
) -> AsyncGenerator[bytes, None]:
    until = time.monotonic() + _MAX_STREAM_SECONDS
    yield _RETRY
    # The watcher subscribed before this read, so no request is lost in between. A request that
    # is in both is sent once.
    sums, past_events = await sync_to_async(_initial_state)(last_seen, compared)
    sent_ids = {event["id"] for event in past_events}
    yield _encode(past_events, sums, 0)
    missed = 0
    while not watcher.over and time.monotonic() < until:
        events = await watcher.take(_HEARTBEAT_SECONDS)
        new_events = [event for event in events if event["id"] not in sent_ids]
        sent_ids -= {event["id"] for event in events}
        if compared.baseline is not None:
            new_events = await sync_to_async(compare_events)(new_events, compared)
        for event in new_events:
            sums.add(event)
        if new_events:
            yield _encode(new_events, sums, watcher.missed - missed)
            missed = watcher.missed
            # A busy service sends a few batches a second, not thousands of single events.
            await asyncio.sleep(0.2)
        elif not events:
            yield b": still here\n\n"


def _initial_state(
    last_seen: str, compared: ComparedWith
) -> tuple[RunningSums, list[RequestEvent]]:
    sums = RunningSums()
    sums.read(compared)
    events = recent(_RESUME_EVENTS if last_seen else _INITIAL_EVENTS, last_seen)
    return sums, compare_events(events, compared)


def _encode(events: list[RequestEvent], sums: RunningSums, missed: int) -> bytes:
    messages = [sse(event, "request", event["id"]) for event in events]
    if missed:
        messages.append(sse({"count": missed}, "missed"))
    return b"".join([*messages, sse(sums.summary(), "sums")])
