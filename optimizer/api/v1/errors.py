"""The error format of our own API: detail, status_code, errors by field, request_id."""

from __future__ import annotations

import logging
import uuid
from dataclasses import dataclass, field
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.views import defaults
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import set_rollback

from analytics.ledger.ledger import BudgetsUnavailable, LedgerUnavailable
from analytics.quality.feedback import UnknownAnswer
from optimizer.api.compat.error_format import error_of_path
from optimizer.api.http.endpoint import JsonReply
from optimizer.api.http.failures import BUDGETS_UNAVAILABLE, Failure, retry_headers
from optimizer.domain.result import BudgetExceeded, RoutingUnavailable
from optimizer.server.middleware import ADMIN_PATH
from routing.models import NoEligibleModel

logger = logging.getLogger(__name__)


def error_body(
    request_id: Any, status: int, detail: str, errors: dict[str, Any] | None = None, **more: Any
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
    reply = _service_error(error)
    if reply is None and isinstance(error, (Http404, PermissionDenied, exceptions.APIException)):
        reply = _framework_error(error)
    if reply is None:
        # The formatter names the type and place only; the message may hold a prompt.
        logger.error("An API view failed", exc_info=error)
        reply = _ErrorReply(
            500, "Something went wrong on our side. If it happens again, report the request ID."
        )
    body = error_body(request_id, reply.status, reply.detail, reply.errors, **reply.more)
    return JsonReply(body, reply.status, reply.headers)


@dataclass(frozen=True, slots=True)
class _ErrorReply:
    """An error before it becomes JSON; ``more`` holds additional fields of the body."""

    status: int
    detail: str
    errors: dict[str, Any] | None = None
    more: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)


def _service_error(error: Exception) -> _ErrorReply | None:
    if isinstance(error, RoutingUnavailable):
        status = 504 if error.deadline_passed else 503
        return _ErrorReply(status, str(error), more={"failures": error.failures})
    if isinstance(error, BudgetExceeded):
        more: dict[str, Any] = {"code": "budget_exceeded", "resets_at": error.resets_at}
        headers = retry_headers(error.retry_after, "budget_exceeded")
        return _ErrorReply(429, str(error), more=more, headers=headers)
    if isinstance(error, NoEligibleModel):
        if not error.excluded:
            return _ErrorReply(
                503,
                "Routing unavailable: no provider is configured. "
                "Set a provider's API key or LOCAL_PROVIDER=on.",
            )
        return _ErrorReply(400, "No model can serve this request.", {"prompt": [str(error)]})
    if isinstance(error, LedgerUnavailable):
        return _ErrorReply(
            503, "The answer could not be recorded, so it was not delivered. Try again."
        )
    if isinstance(error, BudgetsUnavailable):
        return _ErrorReply(503, BUDGETS_UNAVAILABLE)
    if isinstance(error, (OperationalError, InterfaceError)):
        logger.warning("The database is unavailable", exc_info=error)
        return _ErrorReply(503, "The database is unavailable. Try again shortly.")
    if isinstance(error, UnknownAnswer):
        return _ErrorReply(404, str(error), {error.field: [str(error)]})
    return None


def _framework_error(error: Exception) -> _ErrorReply:
    if isinstance(error, Http404):
        return _ErrorReply(404, "Not found.")
    if not isinstance(error, exceptions.APIException):
        error = exceptions.PermissionDenied()
    status, detail = error.status_code, error.detail
    if isinstance(error, exceptions.ValidationError):
        errors = _by_field(detail)
        summary = "; ".join(f"{name}: {messages[0]}" for name, messages in errors.items())
        return _ErrorReply(status, f"Invalid input. {summary}", errors)
    if isinstance(error, exceptions.ParseError):
        return _ErrorReply(status, str(detail), {"body": [str(detail)]})
    return _ErrorReply(status, str(detail) if detail else "The request failed.")


def _by_field(detail: Any) -> dict[str, list[str]]:
    if isinstance(detail, list):
        return {"body": [str(message) for message in detail]}
    flat: dict[str, list[str]] = {}
    for place, messages in detail.items():
        name = "body" if place == "non_field_errors" else place
        if isinstance(messages, dict):
            flat.update({f"{name}.{key}": value for key, value in _by_field(messages).items()})
        else:
            flat[name] = [str(message) for message in messages]
    return flat


def _error_response(request: HttpRequest, status: int, detail: str) -> JsonResponse:
    body = error_of_path(request.path, Failure.of_status(status, detail))
    own_body = error_body(getattr(request, "request_id", None), status, detail)
    return JsonResponse(body or own_body, status=status)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Return a 404 for a path without a view; Django calls this handler."""
    if request.path.startswith(ADMIN_PATH):
        return defaults.page_not_found(request, exception)
    return _error_response(request, 404, "Not found. GET /docs lists the endpoints.")


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Return a 400 for a request that Django refuses; Django calls this handler."""
    return _error_response(
        request, 400, "The request is not valid, for example because of its Host header."
    )


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Return a 403 for ``PermissionDenied``; Django calls this handler."""
    if request.path.startswith(ADMIN_PATH):
        return defaults.permission_denied(request, exception)
    return _error_response(request, 403, "Access denied.")


def server_error(request: HttpRequest) -> HttpResponse:
    """Return a 500 for an unexpected exception; Django calls this handler."""
    return _error_response(
        request,
        500,
        "Something went wrong on our side. If it happens again, report the request ID.",
    )
