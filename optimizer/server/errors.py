"""Sends errors found outside a view, in the format of the API at the path.

They are found before Django, or by Django, which calls the handlers below.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views import defaults

from optimizer.api.compat.error_format import error_of_path
from optimizer.api.http.failure import Failure
from optimizer.api.http.refusals import note_failure
from optimizer.api.v1.errors import error_body
from optimizer.domain.client import ANONYMOUS
from optimizer.domain.identifiers import new_request_id
from optimizer.server.middleware import is_page
from optimizer.wiring.build import PROCESS

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Header = tuple[bytes, bytes]


async def send_failure(
    send: Send, scope: Scope, failure: Failure, headers: Iterable[Header] = (), **more: Any
) -> None:
    """Send ``failure`` as JSON, and record it if it is a refusal.

    ``more`` adds fields to the error format of our own API.
    """
    request_id, path = new_request_id(), scope["path"]
    own_body = {
        "detail": failure.message, "status_code": failure.status, **more,
        "request_id": str(request_id),
    }  # fmt: skip
    body = error_of_path(path, failure) or own_body
    head = [
        (b"content-type", b"application/json"), (b"x-request-id", str(request_id).encode()),
        *headers,
    ]  # fmt: skip
    if services := PROCESS.services:
        client = scope.get("optimizer.client", ANONYMOUS)
        source = str((scope.get("client") or ("",))[0])
        note_failure(services, path, failure, request_id, client, source=source)
    await send({"type": "http.response.start", "status": failure.status, "headers": head})
    await send({"type": "http.response.body", "body": json.dumps(body).encode()})


def _error_response(request: HttpRequest, status: int, detail: str) -> JsonResponse:
    failure, request_id = Failure.of_status(status, detail), getattr(request, "request_id", None)
    body = error_of_path(request.path, failure)
    own_body = error_body(request_id, status, detail)
    if request_id is not None and (services := PROCESS.services):
        client = getattr(request, "scope", {}).get("optimizer.client", ANONYMOUS)
        note_failure(services, request.path, failure, request_id, client)
    return JsonResponse(body or own_body, status=status)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Return a 404 for a path without a view; Django calls this handler."""
    if is_page(request.path):
        return defaults.page_not_found(request, exception)
    return _error_response(request, 404, "Not found. GET /docs lists the endpoints.")


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Return a 400 for a request that Django refuses; Django calls this handler."""
    return _error_response(
        request, 400, "The request is not valid, for example because of its Host header."
    )


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Return a 403 for ``PermissionDenied``; Django calls this handler."""
    if is_page(request.path):
        return defaults.permission_denied(request, exception)
    return _error_response(request, 403, "Access denied.")


def server_error(request: HttpRequest) -> HttpResponse:
    """Return a 500 for an unexpected exception; Django calls this handler."""
    return _error_response(
        request,
        500,
        "Something went wrong on our side. If it happens again, report the request ID.",
    )
