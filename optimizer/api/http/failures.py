"""Errors in a form that every API's error format can express."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from math import ceil
from typing import Literal

from django.db import InterfaceError, OperationalError
from django.http import Http404
from rest_framework import exceptions

from analytics.ledger.ledger import BudgetsUnavailable, LedgerUnavailable
from optimizer.api.http.body_reader import InvalidField
from optimizer.domain.model_names import UnknownModel
from optimizer.domain.request import GatewayRequest
from optimizer.domain.result import BudgetExceeded, NotCached, RoutingUnavailable
from providers.errors import ProviderError, RequestRejected
from routing.models import NoEligibleModel

logger = logging.getLogger(__name__)

Kind = Literal[
    "invalid",
    "unauthorized",
    "forbidden",
    "not_found",
    "too_large",
    "rate_limited",
    "overloaded",
    "timeout",
    "internal",
]


@dataclass(frozen=True, slots=True)
class Failure:
    """One error, before it takes the format of an API.

    ``status`` is the HTTP status, ``message`` is for people and ``code`` for programs;
    ``param`` is the field at fault, ``retry_after`` is in seconds. ``None`` means not known.
    """

    status: int
    kind: Kind
    message: str
    param: str | None = None
    code: str | None = None
    retry_after: int | None = None

    @classmethod
    def of_status(cls, status: int, message: str) -> Failure:
        """Return the failure for an HTTP status without further details."""
        kinds: dict[int, Kind] = {404: "not_found", 413: "too_large", 429: "rate_limited"}
        kind = kinds.get(status, "invalid" if status < 500 else "internal")
        return cls(status, kind, message)


BUDGETS_UNAVAILABLE = (
    "The budgets cannot be checked right now, so no model was called. Try again shortly."
)
# Exceptions for which the type alone determines the failure.
_BY_TYPE: dict[type[Exception], Failure] = {
    RecursionError: Failure(400, "invalid", "The request body is nested too deeply.", "body"),
    NotCached: Failure(
        504, "timeout", "There is no cached answer, and the request allows only a cached one."
    ),
    LedgerUnavailable: Failure(
        503, "overloaded", "The answer could not be recorded, so it must not be used. Try again."
    ),
    BudgetsUnavailable: Failure(503, "overloaded", BUDGETS_UNAVAILABLE),
    Http404: Failure.of_status(404, "This endpoint does not exist."),
}
_MAX_RETRY_WAIT_SECONDS = 60
_DATABASE_UNAVAILABLE = Failure(
    503, "overloaded", "The database is unavailable. Try again shortly."
)


def retry_headers(retry_after: int | None, code: str | None) -> dict[str, str]:
    """Return the headers that tell a client whether and when to retry.

    The clients of OpenAI and Anthropic retry at once unless ``X-Should-Retry`` is false.
    """
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    if code == "budget_exceeded" and (retry_after is None or retry_after > _MAX_RETRY_WAIT_SECONDS):
        headers["X-Should-Retry"] = "false"
    return headers


def failure_of(error: Exception, request: GatewayRequest | None = None) -> Failure:
    """Return the failure for ``error``.

    ``request`` is set once it has been read; it maps a missing capability to the field at fault.
    """
    if isinstance(error, InvalidField):
        return Failure(400, "invalid", str(error), error.param, error.code)
    if isinstance(error, UnknownModel):
        return Failure(404, "not_found", str(error), "model", "model_not_found")
    if isinstance(error, NoEligibleModel):
        needs = request.needs if request else {}
        places = sorted({needs.get(need, "") for need in error.missing} - {""})
        return Failure(400, "invalid", str(error), ", ".join(places) or None, "unsupported_feature")
    if isinstance(error, RoutingUnavailable):
        return _routing_failure(error)
    if isinstance(error, BudgetExceeded):
        return Failure(
            429, "rate_limited", str(error), code="budget_exceeded", retry_after=error.retry_after
        )
    if isinstance(error, RequestRejected):
        return Failure(400, "invalid", error.words or str(error), code=error.code)
    if isinstance(error, ProviderError):
        return Failure(502, "overloaded", f"{error.provider} {error.message}.", code=error.code)
    return _BY_TYPE.get(type(error)) or _framework_failure(error)


def _routing_failure(error: RoutingUnavailable) -> Failure:
    attempts = error.attempts
    calls = "; ".join(f"{a.provider}/{a.model}: {a.message}" for a in attempts)
    message = f"{error} {calls}".strip()
    if error.deadline_passed:
        return Failure(504, "timeout", message, code="deadline_exceeded")
    if error.all_rejected:
        provider_message = next((a.words for a in reversed(attempts) if a.words), "")
        return Failure(400, "invalid", provider_message or message, code=attempts[-1].error)
    if attempts and all(a.error == "rate_limited" for a in attempts):
        wait = min((a.retry_after for a in attempts if a.retry_after), default=1.0)
        return Failure(
            429, "rate_limited", message, code="rate_limit_exceeded", retry_after=ceil(wait)
        )
    return Failure(503, "overloaded", message, code="routing_unavailable")


def _framework_failure(error: Exception) -> Failure:
    if isinstance(error, (OperationalError, InterfaceError)):
        logger.warning("The database is unavailable", exc_info=error)
        return _DATABASE_UNAVAILABLE
    if isinstance(error, exceptions.APIException):
        return Failure.of_status(error.status_code, str(error.detail))
    # The formatter names the type and place only; the message may hold a prompt.
    logger.error("An API view failed", exc_info=error)
    return Failure(
        500,
        "internal",
        "Something went wrong on our side. If it happens again, report the request ID.",
    )
