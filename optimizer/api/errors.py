"""One shape for every error: detail, status_code, errors by field, request_id."""

from __future__ import annotations

import logging
from typing import Any

from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.views import defaults
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import exception_handler as drf_exception_handler

from analytics.feedback import UnknownAnswer
from analytics.ledger import BudgetsUnavailable, LedgerUnavailable
from optimizer.api.gateway.failures import BUDGETS_AWAY, Failure, retry_headers
from optimizer.api.gateway.wires import error_of_path
from optimizer.middleware import ADMIN_PATH
from optimizer.services.results import BudgetExceeded, RoutingUnavailable
from routing.models import NoEligibleModel

logger = logging.getLogger(__name__)


def error_body(
    request: Any, status: int, detail: str, errors: dict[str, Any] | None = None, **more: Any
) -> dict[str, Any]:
    """The error shape. ``errors`` maps a field to its messages."""
    body: dict[str, Any] = {"detail": detail, "status_code": status, **more}
    if errors:
        body["errors"] = errors
    request_id = getattr(getattr(request, "_request", request), "request_id", None)
    if request_id is not None:
        body["request_id"] = str(request_id)
    return body


def exception_handler(error: Exception, context: dict[str, Any]) -> Response:
    """DRF's hook: every exception of an API view becomes the error shape."""
    request = context.get("request")
    if isinstance(error, RoutingUnavailable):
        status = 504 if error.deadline_passed else 503
        body = error_body(request, status, str(error), failures=error.failures)
        return Response(body, status=status)
    if isinstance(error, BudgetExceeded):
        return _over_budget(request, error)
    if isinstance(error, NoEligibleModel):
        if not error.excluded:
            return Response(
                error_body(request, 503, "Routing unavailable: no provider is configured."),
                status=503,
            )
        return Response(
            error_body(request, 400, "No model can serve this request.", {"prompt": [str(error)]}),
            status=400,
        )
    if isinstance(error, LedgerUnavailable):
        detail = "The answer could not be recorded, so it was not delivered. Try again."
        return Response(error_body(request, 503, detail), status=503)
    if isinstance(error, BudgetsUnavailable):
        return Response(error_body(request, 503, BUDGETS_AWAY), status=503)
    if isinstance(error, (OperationalError, InterfaceError)):
        logger.warning("The database is unavailable", exc_info=error)
        return Response(
            error_body(request, 503, "The database is unavailable. Try again shortly."), status=503
        )
    if isinstance(error, UnknownAnswer):
        return Response(
            error_body(request, 404, str(error), {error.field: [str(error)]}), status=404
        )
    response = drf_exception_handler(error, context)
    if response is None:
        # The formatter names the type and place only; the message may hold a prompt.
        logger.error("An API view failed", exc_info=error)
        return Response(error_body(request, 500, "Something went wrong on our side."), status=500)
    response.data = _shaped(request, error, response)
    return response


def _over_budget(request: Any, error: BudgetExceeded) -> Response:
    more: dict[str, Any] = {"code": "budget_exceeded", "resets_at": error.resets_at}
    body = error_body(request, 429, str(error), **more)
    return Response(body, status=429, headers=retry_headers(error.retry_after, "budget_exceeded"))


def _shaped(request: Any, error: Exception, response: Response) -> dict[str, Any]:
    status = response.status_code
    if isinstance(error, exceptions.ValidationError):
        errors = _by_field(error.detail)
        named = "; ".join(f"{field}: {messages[0]}" for field, messages in errors.items())
        return error_body(request, status, f"Invalid input. {named}", errors)
    if isinstance(error, exceptions.ParseError):
        return error_body(request, status, str(error.detail), {"body": [str(error.detail)]})
    if isinstance(error, Http404):
        return error_body(request, status, "Not found.")
    detail = getattr(error, "detail", None)
    return error_body(request, status, str(detail) if detail else "The request failed.")


def _by_field(detail: Any) -> dict[str, list[str]]:
    if isinstance(detail, list):
        return {"body": [str(message) for message in detail]}
    flat: dict[str, list[str]] = {}
    for field, messages in detail.items():
        name = "body" if field == "non_field_errors" else field
        if isinstance(messages, dict):
            flat.update({f"{name}.{key}": value for key, value in _by_field(messages).items()})
        else:
            flat[name] = [str(message) for message in messages]
    return flat


def _plain(request: HttpRequest, status: int, detail: str) -> JsonResponse:
    body = error_of_path(request.path, Failure.of_status(status, detail))
    return JsonResponse(body or error_body(request, status, detail), status=status)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    if request.path.startswith(ADMIN_PATH):
        return defaults.page_not_found(request, exception)
    return _plain(request, 404, "Not found. GET /docs lists the endpoints.")


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _plain(request, 400, "Bad request.")


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    if request.path.startswith(ADMIN_PATH):
        return defaults.permission_denied(request, exception)
    return _plain(request, 403, "Forbidden.")


def server_error(request: HttpRequest) -> HttpResponse:
    return _plain(request, 500, "Something went wrong on our side.")
