"""The live page: decisions and spend as they happen."""

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

from optimizer.api.http.sse import EventStream, sse
from optimizer.control_room.access import staff_with
from optimizer.monitoring.live.feed import TooManyWatchers, Watcher
from optimizer.monitoring.live.request_event import RequestEvent, recent
from optimizer.monitoring.live.sums import RunningSums
from optimizer.wiring.build import get_services

_SEEN = "analytics.view_requestrecord"
_FIRST, _AGAIN = 30, 200
_QUIET = 15.0
"""Seconds after which silence is broken, so that nobody in between takes it for the end."""
_LONGEST = 300.0
"""Seconds after which the browser must ask again, and is looked at again."""
_RETRY = b"retry: 1000\n\n"


def live_page(request: HttpRequest) -> HttpResponse:
    """The page; a script on it reads :func:`live_events`."""
    if not request.user.has_perm(_SEEN):  # type: ignore[union-attr]
        raise PermissionDenied
    context = {
        **admin.site.each_context(request),
        "title": "Live",
        "others_unseen": settings.WORKERS > 1 and not settings.SHARED_STORE,
    }
    return TemplateResponse(request, "admin/live.html", context)


@staff_with(_SEEN)
async def live_events(request: HttpRequest) -> HttpResponseBase:
    """Server-sent events: ``request`` for each recorded one, ``sums`` of today and of the minutes
    that moved, ``missed`` with how many were too fast for this reader. Begins with the latest
    requests or, where the browser says which it saw last, with those since.
    """
    watching = ExitStack()
    try:
        watcher = watching.enter_context(get_services().feed.watch())
    except TooManyWatchers as error:
        return JsonResponse({"detail": str(error)}, status=503, headers={"Retry-After": "10"})
    told = _told(watcher, _last_seen(request))
    return EventStream(told, watching.close, {})


def _last_seen(request: HttpRequest) -> str:
    try:
        return str(uuid.UUID(request.headers.get("Last-Event-ID", "")))
    except ValueError:
        return ""


async def _told(watcher: Watcher, last_seen: str) -> AsyncGenerator[bytes, None]:
    until = time.monotonic() + _LONGEST
    yield _RETRY
    # Watching began before this is read, so nothing falls between; what is in both is told once.
    sums, first = await sync_to_async(_so_far)(last_seen)
    told = {happening["id"] for happening in first}
    yield _events(first, sums, 0)
    missed = 0
    while not watcher.over and time.monotonic() < until:
        happenings = await watcher.take(_QUIET)
        fresh = [happening for happening in happenings if happening["id"] not in told]
        told -= {happening["id"] for happening in happenings}
        for happening in fresh:
            sums.add(happening)
        if fresh:
            yield _events(fresh, sums, watcher.missed - missed)
            missed = watcher.missed
            # A busy service is told of a few times a second, not thousands.
            await asyncio.sleep(0.2)
        elif not happenings:
            yield b": still here\n\n"


def _so_far(last_seen: str) -> tuple[RunningSums, list[RequestEvent]]:
    sums = RunningSums()
    sums.read()
    return sums, recent(_AGAIN if last_seen else _FIRST, last_seen)


def _events(happenings: list[RequestEvent], sums: RunningSums, missed: int) -> bytes:
    said = [sse(happening, "request", happening["id"]) for happening in happenings]
    if missed:
        said.append(sse({"count": missed}, "missed"))
    return b"".join([*said, sse(sums.summary(), "sums")])
