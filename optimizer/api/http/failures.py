"""What went wrong, in words that every wire can spell."""

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
    """``status`` is HTTP's; ``param`` the field at fault, ``code`` a word for programs, where
    there are such; ``retry_after`` is in seconds.
    """

    status: int
    kind: Kind
    message: str
    param: str | None = None
    code: str | None = None
    retry_after: int | None = None

    @classmethod
    def of_status(cls, status: int, message: str) -> Failure:
        """What a status alone tells."""
        kinds: dict[int, Kind] = {404: "not_found", 413: "too_large", 429: "rate_limited"}
        kind = kinds.get(status, "invalid" if status < 500 else "internal")
        return cls(status, kind, message)


BUDGETS_AWAY = "The budgets cannot be asked just now, so nothing was called. Try again shortly."
# What needs no look at the exception beyond its type.
_PLAIN: dict[type[Exception], Failure] = {
    RecursionError: Failure(400, "invalid", "The body is nested too deeply.", "body"),
    NotCached: Failure(504, "timeout", "No cached answer, and only one was wanted."),
    LedgerUnavailable: Failure(
        503, "overloaded", "The answer could not be recorded, so it does not count. Try again."
    ),
    BudgetsUnavailable: Failure(503, "overloaded", BUDGETS_AWAY),
    Http404: Failure.of_status(404, "There is no such endpoint."),
}
_PATIENCE_SECONDS = 60
_NO_DATABASE = Failure(503, "overloaded", "The database is unavailable. Try again shortly.")


def retry_headers(retry_after: int | None, code: str | None) -> dict[str, str]:
    """Whether and when to ask again, as clients read it: those of OpenAI and Anthropic ask
    again at once unless they are told not to.
    """
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    if code == "budget_exceeded" and (retry_after is None or retry_after > _PATIENCE_SECONDS):
        headers["X-Should-Retry"] = "false"
    return headers


def failure_of(error: Exception, request: GatewayRequest | None = None) -> Failure:
    """``request`` is the request, where it was read; it knows which field needs what."""
    if isinstance(error, InvalidField):
        return Failure(400, "invalid", str(error), error.param, error.code)
    if isinstance(error, UnknownModel):
        return Failure(404, "not_found", str(error), "model", "model_not_found")
    if isinstance(error, NoEligibleModel):
        needs = request.needs if request else {}
        places = sorted({needs.get(need, "") for need in error.missing} - {""})
        return Failure(400, "invalid", str(error), ", ".join(places) or None, "unsupported_feature")
    if isinstance(error, RoutingUnavailable):
        return _unavailable(error)
    if isinstance(error, BudgetExceeded):
        return Failure(
            429, "rate_limited", str(error), code="budget_exceeded", retry_after=error.retry_after
        )
    if isinstance(error, RequestRejected):
        return Failure(400, "invalid", error.words or str(error), code=error.code)
    if isinstance(error, ProviderError):
        return Failure(502, "overloaded", f"{error.provider} {error.message}.", code=error.code)
    return _PLAIN.get(type(error)) or _of_the_framework(error)


def _unavailable(error: RoutingUnavailable) -> Failure:
    attempts = error.attempts
    named = "; ".join(f"{a.provider}/{a.model}: {a.message}" for a in attempts)
    message = f"{error} {named}".strip()
    if error.deadline_passed:
        return Failure(504, "timeout", message, code="deadline_exceeded")
    if error.all_rejected:
        words = next((a.words for a in reversed(attempts) if a.words), "")
        return Failure(400, "invalid", words or message, code=attempts[-1].error)
    if attempts and all(a.error == "rate_limited" for a in attempts):
        wait = min((a.retry_after for a in attempts if a.retry_after), default=1.0)
        return Failure(
            429, "rate_limited", message, code="rate_limit_exceeded", retry_after=ceil(wait)
        )
    return Failure(503, "overloaded", message, code="routing_unavailable")


def _of_the_framework(error: Exception) -> Failure:
    if isinstance(error, (OperationalError, InterfaceError)):
        logger.warning("The database is unavailable", exc_info=error)
        return _NO_DATABASE
    if isinstance(error, exceptions.APIException):
        return Failure.of_status(error.status_code, str(error.detail))
    # The formatter names the type and place only; the message may hold a prompt.
    logger.error("An API view failed", exc_info=error)
    return Failure(500, "internal", "Something went wrong on our side.")
