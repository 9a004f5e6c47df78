"""The errors of provider calls, one class for each way in which a caller should react.

``retryable`` is whether the same request to the same provider may succeed if repeated.
After any of these errors another provider may be tried. Messages are our own: they never
contain a key, a prompt or the provider's raw body. A message is the end of a sentence
that begins with the provider's name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from providers.completion import Usage
from providers.residency import regions_text


class ProviderError(Exception):
    """A provider did not deliver a usable completion.

    ``status`` is the HTTP status, if there was one; ``retry_after`` is in seconds;
    ``usage`` is set if the provider charges for the failed call. ``words`` is the
    provider's own explanation of what is wrong with the request: it is for the client
    that sent the request and must not be written to a log or a table. ``body`` is the
    provider's error as it came, and ``headers`` are those that clients of its wire read: they
    are for a client that uses the same ``wire``, as is ``event``, the message of a stream that
    reports the error. ``maybe_charged`` is whether the provider may
    have worked on the request and charge for it, so that the same model must not be called
    with it again.
    """

    code = "provider_error"
    retryable = False
    maybe_charged = False

    def __init__(
        self,
        provider: str,
        message: str,
        *,
        status: int | None = None,
        retry_after: float | None = None,
        usage: Usage | None = None,
    ) -> None:
        super().__init__(f"{provider}: {message}")
        self.provider = provider
        self.message = message
        self.status = status
        self.retry_after = retry_after
        self.usage = usage
        self.words = ""
        self.wire = ""
        self.body: Mapping[str, Any] | None = None
        self.event: Mapping[str, Any] | None = None
        self.headers: Mapping[str, str] = {}


class AuthenticationFailed(ProviderError):
    """401: the key is missing, wrong or revoked."""

    code = "authentication_failed"


class PermissionDenied(ProviderError):
    """403: the key may not use this model."""

    code = "permission_denied"


class InsufficientCredit(ProviderError):
    """402: the account has run out of credit."""

    code = "insufficient_credit"


class ModelNotFound(ProviderError):
    """404: the provider does not know the model."""

    code = "model_not_found"


class RequestRejected(ProviderError):
    """400 or 422: the provider finds the request invalid."""

    code = "request_rejected"


class RequestTooLarge(ProviderError):
    """413: the request is larger than the provider accepts."""

    code = "request_too_large"


class CallNotAuthorized(ProviderError):
    """Not called: the call may cost more than a budget has left."""

    code = "budget_exceeded"


class SwitchedOff(ProviderError):
    """Not called: an operator has switched the model off, or removed the provider's key."""

    code = "switched_off"


class OutsideResidency(ProviderError):
    """Not called: the data must stay within regions in which the provider does not keep it."""

    code = "outside_residency"

    @classmethod
    def of(cls, provider: str, residency: Iterable[str]) -> OutsideResidency:
        """Return the error of a provider that is outside ``residency``."""
        where = regions_text(residency)
        return cls(provider, f"was not called: the data must stay in {where}")


class ContentBlocked(ProviderError):
    """The provider's safety system refused the prompt or the answer."""

    code = "content_blocked"


class RequestTimedOut(ProviderError):
    """408: the provider gave up waiting for the request."""

    code = "request_timed_out"
    retryable = True


class Conflict(ProviderError):
    """409: the request conflicts with another operation."""

    code = "conflict"
    retryable = True


class RateLimited(ProviderError):
    """429: too many requests; ``retry_after`` is the wait, if the provider gives one."""

    code = "rate_limited"
    retryable = True


class MembersBusy(RateLimited):
    """All members of a pool that may answer have as many calls as they may; none was made."""

    retryable = False

    @classmethod
    def of(cls, provider: str) -> MembersBusy:
        """Return the error for a pool; some member has ended a call a second later, most likely."""
        words = "was not called: all members of its pool have as many calls as they may"
        return cls(provider, words, retry_after=1.0)


class ProviderUnavailable(ProviderError):
    """5xx: the provider has an internal failure."""

    code = "provider_unavailable"
    retryable = True


class Overloaded(ProviderUnavailable):
    """503 or 529: the provider is too busy."""

    code = "overloaded"


class AnswerFailed(ProviderUnavailable):
    """The answer ended in an error, of which the provider says no more."""


class ConnectionFailed(ProviderError):
    """There was no connection, so the request was not sent."""

    code = "connection_failed"
    retryable = True


class ConnectionLost(ConnectionFailed):
    """The connection was lost after the request was sent, before the answer was complete."""

    maybe_charged = True


class ProviderTimeout(ProviderError):
    """The answer did not arrive in time."""

    code = "timeout"
    retryable = True
    maybe_charged = True


class MalformedResponse(ProviderError):
    """The answer does not follow the wire protocol."""

    code = "malformed_response"
    retryable = True
    maybe_charged = True


class EmptyCompletion(ProviderError):
    """The provider's answer has no content."""

    code = "empty_completion"
    retryable = True
    maybe_charged = True


class CircuitOpen(ProviderError):
    """Not called: the provider failed too often recently."""

    code = "circuit_open"


class InternalError(ProviderError):
    """A client of ours raised an error that it must not raise; the call may have been made."""

    code = "internal_error"
    maybe_charged = True


class ClientGone(ProviderError):
    """The client disconnected, so the call was ended."""

    code = "client_disconnected"


# A gateway before the provider stopped waiting for the answer (524 is Cloudflare's).
_GATEWAY_TIMEOUTS = (504, 524)
_BY_STATUS: dict[int, tuple[type[ProviderError], str]] = {
    400: (RequestRejected, "rejected the request as invalid"),
    401: (AuthenticationFailed, "refused the API key"),
    402: (InsufficientCredit, "reports that the account has no credit left"),
    403: (PermissionDenied, "does not allow this key to use the model"),
    404: (ModelNotFound, "does not know the model"),
    408: (RequestTimedOut, "timed out while reading the request"),
    409: (Conflict, "reports a conflict with another operation"),
    413: (RequestTooLarge, "rejected the request as too large"),
    422: (RequestRejected, "rejected the request as invalid"),
    429: (RateLimited, "received too many requests"),
    503: (Overloaded, "is overloaded"),
    529: (Overloaded, "is overloaded"),
}


def error_for_status(
    provider: str, status: int, *, retry_after: float | None = None
) -> ProviderError:
    """Return the error for an HTTP status that is not a success."""
    kind, message = _BY_STATUS.get(
        status,
        (ProviderUnavailable, "reports an internal failure")
        if status >= 500
        else (RequestRejected, "returned an unexpected status"),
    )
    error = kind(provider, f"{message} (HTTP {status})", status=status, retry_after=retry_after)
    error.maybe_charged = status in _GATEWAY_TIMEOUTS
    return error
