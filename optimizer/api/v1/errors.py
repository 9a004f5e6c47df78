"""The error format of our own API: detail, status_code, errors by field, request_id."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from rest_framework.response import Response
from rest_framework.views import set_rollback

from optimizer.api.http.endpoint import JsonReply
from optimizer.api.http.errors import failure_of, internal_failure
from optimizer.api.http.failure import retry_headers
from optimizer.domain.result import GuardrailRefused, RoutingUnavailable
from providers.errors import OutsideResidency


def error_body(
    request_id: Any, status: int, detail: str, errors: Mapping[str, Any] | None = None, **more: Any
) -> dict[str, Any]:
    """Return the JSON body of an error; ``errors`` maps a field to its messages."""
    body: dict[str, Any] = {"detail": detail, "status_code": status, **more}
    if errors:
        body["errors"] = errors
    if request_id is not None:
        body["request_id"] = str(request_id)
    return body


def exception_handler(error: Exception, context: dict[str, Any]) -> Response:
    """Return the response for an exception of an API view; DRF calls this hook."""
    set_rollback()
    reply = reply_to(error, getattr(context["request"]._request, "request_id", None))
    return Response(reply.body, status=reply.status, headers=dict(reply.headers))


def reply_to(error: Exception, request_id: uuid.UUID | None) -> JsonReply:
    """Return the reply that reports ``error``."""
    # A body that is nested too deeply has been refused before: this one is our own.
    ours = isinstance(error, RecursionError)
    failure = internal_failure(error) if ours else failure_of(error)
    status = failure.status
    refused = isinstance(error, GuardrailRefused) or failure.code == OutsideResidency.code
    if isinstance(error, RoutingUnavailable) and status != 504 and not refused:
        status = 503  # this API answers so whatever the providers' reasons, which it lists
    detail = failure.summary or failure.message
    body = error_body(request_id, status, detail, failure.errors, **failure.details)
    retry_after = failure.retry_after if status == failure.status else None
    return JsonReply(body, status, retry_headers(retry_after, failure.code), failure)
