"""What can go wrong with a provider, named by what the caller should do.

``retryable`` says whether the same request to the same provider may succeed if
repeated. Every error lets another provider be tried. Messages are written
here: they never carry a key, a prompt or the provider's raw body.
"""

from __future__ import annotations

from providers.completion import Usage


class ProviderError(Exception):
    """A provider did not deliver a usable completion.

    ``status`` is the HTTP status where there was one; ``retry_after`` is
    seconds; ``usage`` is set when the failed call was charged all the same.
    ``words`` are the provider's own on what is wrong with the request: for the
    client who sent it, never for a log or a table.
    """

    code = "provider_error"
    retryable = False

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
    """413: more than the provider accepts."""

    code = "request_too_large"


class CallNotAuthorized(ProviderError):
    """Not called: what it may cost does not fit into a budget."""

    code = "budget_exceeded"


class ContentBlocked(ProviderError):
    """The provider's safety system refused the prompt or the answer."""

    code = "content_blocked"


class RequestTimedOut(ProviderError):
    """408: the provider gave up waiting for the request."""

    code = "request_timed_out"
    retryable = True


class Conflict(ProviderError):
    """409: another operation is in the way."""

    code = "conflict"
    retryable = True


class RateLimited(ProviderError):
    """429: too many requests; ``retry_after`` says when to come back, if told."""

    code = "rate_limited"
    retryable = True


class ProviderUnavailable(ProviderError):
    """5xx: the provider is broken for now."""

    code = "provider_unavailable"
    retryable = True


class Overloaded(ProviderUnavailable):
    """503 or 529: the provider is too busy."""

    code = "overloaded"


class ConnectionFailed(ProviderError):
    """No connection, or it dropped before the answer was complete."""

    code = "connection_failed"
    retryable = True


class ProviderTimeout(ProviderError):
    """The answer did not come in time."""

    code = "timeout"
    retryable = True


class MalformedResponse(ProviderError):
    """The answer is not what the wire protocol promises."""

    code = "malformed_response"
    retryable = True


class EmptyCompletion(ProviderError):
    """The provider answered with no text at all."""

    code = "empty_completion"
    retryable = True


class CircuitOpen(ProviderError):
    """Not called: the provider failed too often a moment ago."""

    code = "circuit_open"


class ClientGone(ProviderError):
    """Nobody waits for the answer any more, so the call was ended."""

    code = "client_disconnected"


_BY_STATUS: dict[int, tuple[type[ProviderError], str]] = {
    400: (RequestRejected, "rejected the request as invalid"),
    401: (AuthenticationFailed, "refused the API key"),
    402: (InsufficientCredit, "reports that the account has no credit left"),
    403: (PermissionDenied, "does not allow this key to use the model"),
    404: (ModelNotFound, "does not know the model"),
    408: (RequestTimedOut, "timed out reading the request"),
    409: (Conflict, "reports a conflict"),
    413: (RequestTooLarge, "finds the request too large"),
    422: (RequestRejected, "rejected the request as invalid"),
    429: (RateLimited, "is rate limiting"),
    503: (Overloaded, "is overloaded"),
    529: (Overloaded, "is overloaded"),
}


def error_for_status(
    provider: str, status: int, *, retry_after: float | None = None
) -> ProviderError:
    """The typed error for an HTTP status that is not a success."""
    kind, message = _BY_STATUS.get(
        status,
        (ProviderUnavailable, "failed")
        if status >= 500
        else (RequestRejected, "answered with an unexpected status"),
    )
    return kind(provider, f"{message} (HTTP {status})", status=status, retry_after=retry_after)
