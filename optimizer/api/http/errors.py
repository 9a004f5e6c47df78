"""One table of errors: what each exception means to a client, before an API spells it."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import replace
from itertools import islice
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db import InterfaceError, OperationalError
from django.http import Http404
from rest_framework import exceptions

from analytics.ledger.ledger import BudgetsUnavailable, LedgerUnavailable
from analytics.ledger.write_health import RecordsUnavailable
from analytics.quality.feedback import UnknownAnswer
from optimizer.access.rate_limits import RateLimitExceeded
from optimizer.api.http.body_reader import InvalidField
from optimizer.api.http.failure import MAX_RETRY_WAIT_SECONDS, MOST_ERROR_CHARS, Failure
from optimizer.api.http.routing_failures import no_eligible_model, own_error, routing_failure
from optimizer.domain.identifiers import NO_AGENTS
from optimizer.domain.model_names import UnknownModel
from optimizer.domain.request import GatewayRequest
from optimizer.domain.request_bounds import WrongResidency
from optimizer.domain.result import (
    BudgetExceeded,
    NestedTooDeeply,
    NotAllowed,
    NotCached,
    OutsideRegions,
    RoutingUnavailable,
    SessionStopped,
    UnknownInputRefused,
    UnknownObject,
)
from optimizer.shared.webhooks import WebhookRefused
from providers.errors import OutsideResidency, ProviderError, RequestRejected
from routing.models import NoEligibleModel

logger = logging.getLogger(__name__)


BUDGETS_UNAVAILABLE = (
    "The budgets cannot be checked right now, so no model was called. Try again shortly."
)
# Exceptions for which the type alone determines the failure.
_BY_TYPE: dict[type, Failure] = {
    RecursionError: Failure(400, "invalid", "The request body is nested too deeply.", "body"),
    NotCached: Failure(
        504, "timeout", "There is no cached answer, and the request allows only a cached one."
    ),
    LedgerUnavailable: Failure(
        503,
        "overloaded",
        "The answer could not be recorded, so it must not be used. Try again.",
        summary="The answer could not be recorded, so it was not delivered. Try again.",
    ),
    BudgetsUnavailable: Failure(503, "overloaded", BUDGETS_UNAVAILABLE),
    RecordsUnavailable: Failure(
        503,
        "overloaded",
        str(RecordsUnavailable()),
        code="records_unavailable",
        retry_after=2,
    ),
    Http404: Failure(404, "not_found", "This endpoint does not exist.", summary="Not found."),
    PermissionDenied: Failure(
        403, "forbidden", "You do not have permission to perform this action."
    ),
}
_MOST_ERRORS = 50
_ENDS_AGENTS = frozenset({"budget_exceeded", "session_stopped"})
_DATABASE_UNAVAILABLE = Failure(
    503, "overloaded", "The database is unavailable. Try again shortly."
)


def failure_of(error: Exception, request: GatewayRequest | None = None) -> Failure:
    """Return the failure for ``error``.

    ``request`` is set once it has been read; it maps a missing capability to the field at fault.
    """
    if isinstance(error, InvalidField):
        return Failure(400, "invalid", str(error), error.param, error.code)
    if isinstance(error, UnknownModel):
        return Failure(404, "not_found", str(error), "model", "model_not_found")
    if isinstance(error, (WrongResidency, OutsideResidency, OutsideRegions)):
        return _residency_failure(error)
    if isinstance(error, NoEligibleModel):
        return no_eligible_model(error, request)
    if isinstance(error, RoutingUnavailable):
        return own_error(error, request) or routing_failure(error)
    if isinstance(error, SessionStopped):
        stopped = Failure(403, "forbidden", str(error), code="session_stopped")
        return _for_agents(stopped, request)
    if isinstance(error, (BudgetExceeded, RateLimitExceeded, UnknownInputRefused)):
        return _for_agents(_limit_failure(error), request)
    if isinstance(error, RequestRejected):
        words = error.words or str(error)
        return Failure(400, "invalid", words, code=error.code, event=error.event, ours=False)
    if isinstance(error, ProviderError):
        words = f"{error.provider} {error.message}."
        return Failure(502, "overloaded", words, code=error.code, event=error.event, ours=False)
    return _failure_by_type(error)


def _residency_failure(error: Exception) -> Failure:
    """Return the refusal of a request whose data nothing that may answer keeps where it must."""
    code = "invalid_value" if isinstance(error, WrongResidency) else OutsideResidency.code
    words = str(error)
    if isinstance(error, OutsideResidency):
        words = f"{error.provider} {error.message}."
    return Failure(400, "invalid", words, "residency", code, errors={"residency": [words]})


def _limit_failure(error: BudgetExceeded | RateLimitExceeded | UnknownInputRefused) -> Failure:
    if isinstance(error, UnknownInputRefused):
        return Failure(400, "invalid", str(error), error.field, "unknown_input_size")
    code, wait = "rate_limit_exceeded", error.retry_after
    if isinstance(error, RateLimitExceeded):
        return Failure(429, "rate_limited", str(error), code=code, retry_after=wait)
    code, details = "budget_exceeded", {"code": "budget_exceeded", "resets_at": error.resets_at}
    return Failure(429, "rate_limited", str(error), code=code, retry_after=wait, details=details)


def _for_agents(failure: Failure, request: GatewayRequest | None) -> Failure:
    """Return a limit's failure with the status at which agents stop and show its message.

    Claude Code tries a 429 again for minutes and takes a 403 for a failed login, Codex shows
    nothing of a 429. All of Claude Code 2.1.332, Codex 0.171.0, Gemini CLI 0.61.0 and opencode
    1.18.33 end at once at a 402, and show what it says. A limit that lets the request pass soon
    stays a 429, which they try again.
    """
    if failure.code not in _ENDS_AGENTS or request is None:
        return failure
    if request.session.agent in NO_AGENTS:
        return failure
    if failure.retry_after is not None and failure.retry_after <= MAX_RETRY_WAIT_SECONDS:
        return failure
    return replace(failure, status=402, kind="billing", retry_after=None)


def _failure_by_type(error: Exception) -> Failure:
    if isinstance(error, NestedTooDeeply):
        field, words = error.field[:MOST_ERROR_CHARS], str(error)[:MOST_ERROR_CHARS]
        return Failure(400, "invalid", words, field, errors={field: [words]})
    if isinstance(error, UnknownAnswer):
        errors = {error.field: [str(error)]}
        return Failure(404, "not_found", str(error), error.field, errors=errors)
    if isinstance(error, WebhookRefused):
        words = str(error)
        return Failure(400, "invalid", words, "webhook", errors={"webhook": [words]})
    if isinstance(error, UnknownObject):
        return Failure(404, "not_found", str(error), error.param or None, error.code or None)
    if isinstance(error, NotAllowed):
        return Failure(403, "forbidden", str(error), code="permission_denied")
    for kind in type(error).__mro__:
        if kind in _BY_TYPE:
            return _BY_TYPE[kind]
    if isinstance(error, (OperationalError, InterfaceError)):
        logger.warning("The database is unavailable", exc_info=error)
        return _DATABASE_UNAVAILABLE
    if isinstance(error, exceptions.APIException):
        return _request_failure(error)
    return internal_failure(error)


def internal_failure(error: Exception) -> Failure:
    """Log an error of our own, and return what clients are told of it."""
    # The formatter names the type and place only; the message may hold a prompt.
    logger.error("An API view failed", exc_info=error)
    return Failure(
        500,
        "internal",
        "Something went wrong on our side. If it happens again, report the request ID.",
    )


def _request_failure(error: exceptions.APIException) -> Failure:
    """Return the failure for what DRF finds wrong with a request."""
    status, detail = error.status_code, error.detail
    failure = Failure.of_status(status, str(detail))
    if isinstance(error, exceptions.ValidationError):
        errors = _by_field(detail)
        first = "; ".join(f"{name}: {messages[0]}" for name, messages in errors.items())
        return replace(failure, errors=errors, summary=f"Invalid input. {first}")
    if isinstance(error, exceptions.ParseError):
        return replace(failure, errors={"body": [str(detail)]})
    return failure if detail else replace(failure, summary="The request failed.")


def _by_field(detail: Any) -> dict[str, list[str]]:
    if isinstance(detail, list):
        return {"body": _bounded(detail)}
    flat: dict[str, list[str]] = {}
    for place, messages in islice(detail.items(), _MOST_ERRORS):
        name = "body" if place == "non_field_errors" else str(place)[:MOST_ERROR_CHARS]
        if isinstance(messages, dict):
            flat.update({f"{name}.{key}": value for key, value in _by_field(messages).items()})
        else:
            flat[name] = _bounded([messages] if isinstance(messages, str) else messages)
    return flat


def _bounded(messages: Iterable[Any]) -> list[str]:
    return [str(each)[:MOST_ERROR_CHARS] for each in islice(messages, _MOST_ERRORS)]
