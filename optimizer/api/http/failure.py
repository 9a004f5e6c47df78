"""What a client is told of an error, before it takes the format of an API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

MOST_ERROR_CHARS = 500
"""Some messages repeat what was sent, which may be a megabyte."""
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


MAX_RETRY_WAIT_SECONDS = 60


def retry_headers(retry_after: int | None, code: str | None) -> dict[str, str]:
    """Return the headers that tell a client whether and when to retry.

    The clients of OpenAI and Anthropic retry at once unless ``X-Should-Retry`` is false.
    """
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    if code == "session_stopped":
        headers["X-Should-Retry"] = "false"
    if code == "budget_exceeded" and (retry_after is None or retry_after > MAX_RETRY_WAIT_SECONDS):
        headers["X-Should-Retry"] = "false"
    return headers
