"""The headers of a provider's answer that the clients of its wire read."""

from __future__ import annotations

import httpx

_NAMES = frozenset(
    {b"request-id", b"retry-after", b"retry-after-ms", b"x-should-retry", b"x-request-id"}
)
_BEGINNINGS = (b"anthropic-", b"x-ratelimit-", b"openai-", b"x-goog-", b"x-gemini-")


def client_headers(headers: httpx.Headers) -> dict[str, str]:
    """Return the headers about limits, retries and the request's id, by lower-case name."""
    return {
        name.decode("latin-1"): value.decode("latin-1")
        for raw_name, value in headers.raw
        if (name := raw_name.lower()) in _NAMES or name.startswith(_BEGINNINGS)
    }
