"""One table of errors: what each exception means to a client, before an API spells it."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from math import ceil
from typing import Any, Literal

from django.core.exceptions import PermissionDenied
from django.db import InterfaceError, OperationalError
from django.http import Http404
from rest_framework import exceptions

from analytics.ledger.ledger import BudgetsUnavailable, LedgerUnavailable
from analytics.ledger.write_health import RecordsUnavailable
from analytics.quality.feedback import UnknownAnswer
from optimizer.access.rate_limits import RateLimitExceeded
from optimizer.api.http.body_reader import InvalidField
from optimizer.domain.identifiers import NO_AGENTS
from optimizer.domain.model_names import UnknownModel
from optimizer.domain.request import GatewayRequest, WrongResidency
from optimizer.domain.result import (
    BudgetExceeded,
    GuardrailRefused,
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
from providers.features import field_names
from routing.models import NoEligibleModel

logger = logging.getLogger(__name__)

Kind = Literal[
    "invalid",
    "unauthorized",
    "forbidden",
    "not_found",
    "too_large",
    "rate_limited",
    "billing",
    "overloaded",
    "timeout",
    "internal",
]


@dataclass(frozen=True, slots=True)
class Failure:
    """One error, before it takes the format of an API.

    ``status`` is the HTTP status, ``message`` is for people and ``code`` for programs;
    ``param`` is the field at fault, ``retry_after`` is in seconds. ``None`` means not known.
    Our own API can say more: ``errors`` maps fields to their messages, ``details`` are further
    fields of its body, and ``summary`` replaces the message there. ``relayed`` is the provider's
    own error, for a client that uses its wire, and ``headers`` are those that came with it;
    ``event`` is the message in which a stream of the client's own wire reports it.
    ``ours`` is false for a failure of providers: its request is recorded as failed, not as
    refused.
    """

    status: int
    kind: Kind
    message: str
    param: str | None = None
    code: str | None = None
    retry_after: int | None = None
    errors: Mapping[str, list[str]] | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    summary: str = ""
    relayed: Mapping[str, Any] | None = None
    event: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    ours: bool = True

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
# What these statuses of a provider say is about the client's request, not about our key.
_RELAYED = frozenset({400, 404, 409, 413, 422})
# What these say is of use to a client that named the model: quotas, and when to come back.
_RELAYED_IF_NAMED = frozenset({429, 503, 529})
_MAX_RETRY_WAIT_SECONDS = 60
_MOST_ERRORS = 50
_MOST_ERROR_CHARS = 500
"""Some messages repeat what was sent, which may be a megabyte."""
_ENDS_AGENTS = frozenset({"budget_exceeded", "session_stopped"})
_DATABASE_UNAVAILABLE = Failure(
    503, "overloaded", "The database is unavailable. Try again shortly."
)


def retry_headers(retry_after: int | None, code: str | None) -> dict[str, str]:
    """Return the headers that tell a client whether and when to retry.

    The clients of OpenAI and Anthropic retry at once unless ``X-Should-Retry`` is false.
    """
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    if code == "session_stopped":
        headers["X-Should-Retry"] = "false"
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
    if isinstance(error, (WrongResidency, OutsideResidency, OutsideRegions)):
        return _residency_failure(error)
    if isinstance(error, NoEligibleModel):
        return _no_eligible_model(error, _fields_at_fault(error, request))
    if isinstance(error, RoutingUnavailable):
        return _own_error(error, request) or _routing_failure(error)
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
    if failure.retry_after is not None and failure.retry_after <= _MAX_RETRY_WAIT_SECONDS:
        return failure
    return replace(failure, status=402, kind="billing", retry_after=None)


def _fields_at_fault(error: NoEligibleModel, request: GatewayRequest | None) -> str | None:
    if request is None:
        return None
    needs = request.needs
    fields = [needs[need] for need in error.missing if need in needs]
    return ", ".join(field_names(request.chat, fields)) or None


def _no_eligible_model(error: NoEligibleModel, param: str | None) -> Failure:
    if not error.excluded:
        return Failure(
            503,
            "overloaded",
            "Routing unavailable: no provider is configured. "
            "Set a provider's API key or LOCAL_PROVIDER=on.",
        )
    if error.too_long:
        # No configuration of the request but a shorter one can be served.
        return Failure(
            413, "too_large", str(error), param, "context_length_exceeded",
            errors={"prompt": [str(error)]}, summary="The request is too long for every model.",
        )  # fmt: skip
    if wanted := [need for need in error.missing if need.startswith("data residency")]:
        message = f"No model that may answer has {' and '.join(wanted)}. {error}"
        return Failure(
            400, "invalid", message, "residency", OutsideResidency.code,
            errors={"residency": [message]}, summary="The data must stay where no model is.",
        )  # fmt: skip
    # Some APIs have no place of their own for the field at fault.
    message = f"{error} The request asks for it in: {param}." if param else str(error)
    return Failure(
        400,
        "invalid",
        message,
        param,
        "unsupported_feature",
        errors={"prompt": [message]},
        summary="No model can serve this request.",
    )


def _own_error(error: RoutingUnavailable, request: GatewayRequest | None) -> Failure | None:
    """Return the provider's own error if it concerns the client, and the client uses its wire."""
    source = request.chat.source if request is not None else None
    if request is None or source is None:
        return None
    return relayed_failure(error, source.wire, named=request.only is not None)


def relayed_failure(error: RoutingUnavailable, wire: str, *, named: bool) -> Failure | None:
    """Return the last provider's own error, for a client of ``wire`` that it concerns.

    ``named`` is whether the client named the model.
    """
    last = error.attempts[-1] if error.attempts else None
    if last is None or last.body is None or last.status is None:
        return None
    if last.status not in _RELAYED and not (named and _is_of_one_provider(error)):
        return None
    # Chat completions and responses report errors in the same form.
    if wire.partition("-")[0] != last.wire.partition("-")[0]:
        return None
    if last.status == 404 and not named:
        return None
    # 529 is no status of HTTP: not every client knows that it may try again.
    status = 503 if last.status == 529 else last.status
    failure = Failure.of_status(status, last.words or last.message)
    wait = None if last.retry_after is None else ceil(last.retry_after)
    return replace(
        failure,
        code=last.error,
        retry_after=wait,
        relayed=last.body,
        headers=last.headers,
        ours=False,
    )


def _is_of_one_provider(error: RoutingUnavailable) -> bool:
    """Return whether a limit or an overload is that of the one provider that was called."""
    if error.deadline_passed:
        return False
    alone = len({attempt.provider for attempt in error.attempts}) == 1
    return alone and error.attempts[-1].status in _RELAYED_IF_NAMED


def _routing_failure(error: RoutingUnavailable) -> Failure:
    if isinstance(error, GuardrailRefused):
        if error.unavailable:
            return Failure(
                503,
                "overloaded",
                str(error),
                code="guardrail_unavailable",
                retry_after=5,
                ours=False,
            )
        refused = Failure(400, "invalid", str(error), code="guardrail_refused", ours=False)
        if not error.field:
            return refused
        field = error.field[:_MOST_ERROR_CHARS]
        return replace(refused, param=field, errors={field: [str(error)]})
    attempts = error.attempts
    calls = "; ".join(f"{a.provider}/{a.model}: {a.message}" for a in attempts)
    message = f"{error} {calls}".strip()
    unavailable = Failure(
        503,
        "overloaded",
        message,
        code="routing_unavailable",
        details={"failures": error.failures},
        summary=str(error),
        ours=False,
    )
    if error.deadline_passed:
        return replace(unavailable, status=504, kind="timeout", code="deadline_exceeded")
    if error.all_rejected:
        words = next((a.words for a in reversed(attempts) if a.words), "") or message
        code = attempts[-1].error
        return replace(unavailable, status=400, kind="invalid", message=words, code=code)
    if attempts and all(a.error == OutsideResidency.code for a in attempts):
        return replace(
            unavailable, status=400, kind="invalid", param="residency", code=OutsideResidency.code
        )
    if attempts and all(a.error == "rate_limited" for a in attempts):
        wait = ceil(min((a.retry_after for a in attempts if a.retry_after), default=1.0))
        limited = replace(unavailable, status=429, kind="rate_limited", retry_after=wait)
        return replace(limited, code="rate_limit_exceeded")
    return unavailable


def _failure_by_type(error: Exception) -> Failure:
    if isinstance(error, NestedTooDeeply):
        field, words = error.field[:_MOST_ERROR_CHARS], str(error)[:_MOST_ERROR_CHARS]
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
        name = "body" if place == "non_field_errors" else str(place)[:_MOST_ERROR_CHARS]
        if isinstance(messages, dict):
            flat.update({f"{name}.{key}": value for key, value in _by_field(messages).items()})
        else:
            flat[name] = _bounded([messages] if isinstance(messages, str) else messages)
    return flat


def _bounded(messages: Iterable[Any]) -> list[str]:
    return [str(each)[:_MOST_ERROR_CHARS] for each in islice(messages, _MOST_ERRORS)]
