"""Read the answers with which providers report errors, and the errors of calls without any."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import httpx

from providers.errors import (
    ConnectionFailed,
    ConnectionLost,
    ProviderError,
    ProviderTimeout,
    error_for_status,
)
from providers.http.header_values import retry_after_seconds
from providers.http.retry_hints import hinted_wait
from providers.http.transport import was_sent

_TOO_MANY = 429
_LONGEST_WORDS = 500
_LONGEST_BODY = 256 * 1024
# A shorter key is no secret; it may be part of any word.
_SHORTEST_SECRET = 8


def call_failed(provider: str, error: Exception) -> ProviderError:
    """Return what an error of the HTTP client means."""
    timed_out = isinstance(error, httpx.TimeoutException)
    if not was_sent(error):
        words = "could not be reached in time" if timed_out else "could not be reached"
        return ConnectionFailed(provider, f"{words} ({type(error).__name__})")
    # A connection that breaks is mapped to ConnectTimeout, too.
    if timed_out and not isinstance(error, httpx.ConnectTimeout):
        return ProviderTimeout(provider, "did not answer in time")
    return ConnectionLost(provider, "lost the connection before the answer was complete")


def read_error(
    provider: str, secrets: Iterable[str], status: int, headers: Mapping[str, str], raw: bytes
) -> ProviderError:
    """Return the error of an answer whose ``status`` is not a success; ``raw`` is its body.

    Its words and its body are for the client only. Both are left out if they hold a key, one of
    ``secrets``.
    """
    error = error_for_status(provider, status, retry_after=retry_after_seconds(headers))
    body = _json(raw)
    if status == _TOO_MANY and error.retry_after is None:
        error.retry_after = hinted_wait(headers, body)
    if not isinstance(body, dict) or any(holds_key(key, raw) for key in secrets):
        return error
    if reported := body.get("error"):
        error.body = body
        error.words = _words(reported)
    else:
        # In forms of their own, which clients do not know: Mistral and Cohere ("message"), and
        # servers that validate with pydantic ("detail", also a list of mistakes).
        error.words = _words(body.get("message") or _first(body.get("detail")))
    return error


def _json(raw: bytes) -> Any:
    try:
        return json.loads(raw) if len(raw) <= _LONGEST_BODY else None
    except (ValueError, RecursionError):
        return None


def holds_key(api_key: str, raw: bytes) -> bool:
    """Return whether ``raw`` holds the key, which no client may see."""
    return len(api_key) >= _SHORTEST_SECRET and api_key.encode() in raw


def _first(detail: Any) -> Any:
    """Return the first mistake of a list of them as text: where it is, and what it is."""
    if not isinstance(detail, list):
        return detail
    mistake = detail[0] if detail and isinstance(detail[0], dict) else {}
    place = mistake.get("loc")
    where = ".".join(map(str, place)) if isinstance(place, list) else ""
    words = str(mistake.get("msg") or "")
    return f"{where}: {words}" if where and words else words


def _words(reported: Any) -> str:
    message = reported
    if isinstance(reported, dict):
        message = reported.get("message") or _first(reported.get("detail"))
    return message[:_LONGEST_WORDS] if isinstance(message, str) else ""
