"""Read how long a provider asks clients to wait, where it does not say so in ``Retry-After``.

OpenRouter says when its window ends, in its headers and in the error
(https://openrouter.ai/docs/api/reference/limits), the IETF's draft has ``ratelimit-reset``, and
OpenAI and Groq write it into the message: "Please try again in 7.66s". The time at which a limit
is whole again, in other headers of OpenAI and Anthropic, is not read: a call may be made long
before it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Any

from providers.http.header_values import LONGEST_RETRY_AFTER, duration, plain_number

_RESETS = ("x-ratelimit-reset", "ratelimit-reset")
_IN_WORDS = re.compile(r"(?:try|retry|wait)[^.\n]{0,30}? in ((?:[0-9.]{1,15}(?:ms|[hms])){1,4})\b")
_FIELDS = ("retry_after", "retry_after_seconds", "retryAfter")
# Points in time are larger than any wait; those in milliseconds are larger than those in seconds.
_AN_EPOCH, _IN_MILLISECONDS = 1e9, 1e11
_LONGEST_WORDS = 2_000
"""Characters of a message that are searched."""


def hinted_wait(headers: Mapping[str, str], body: Any) -> float | None:
    """Return the seconds from 0 to a day that an answer of status 429 asks for, else ``None``."""
    error = body.get("error") if isinstance(body, Mapping) else None
    reported = error if isinstance(error, Mapping) else {}
    about = reported.get("metadata")
    about = about if isinstance(about, Mapping) else {}
    for holder in (headers, about.get("headers")):
        if isinstance(holder, Mapping) and (wait := _window(holder)) is not None:
            return wait
    for holder in (reported, about):
        for name in _FIELDS:
            wait = plain_number(str(holder.get(name, "")))
            if wait is not None and wait <= LONGEST_RETRY_AFTER:
                return wait
    message = reported.get("message") if reported else error
    match = _IN_WORDS.search(message[:_LONGEST_WORDS]) if isinstance(message, str) else None
    wait = None if match is None else duration(match[1])
    # Longer than a day is no wait: it would put the model out of use for all clients.
    return wait if wait is not None and wait <= LONGEST_RETRY_AFTER else None


def _window(headers: Mapping[Any, Any]) -> float | None:
    """Return the seconds until a window of requests ends: from a number of them, or a time."""
    values = {str(name).lower(): value for name, value in headers.items()}
    for name in _RESETS:
        number = plain_number(str(values.get(name, "")))
        if number is None:
            continue
        if number >= _AN_EPOCH:
            number = max(0.0, number / (1000 if number >= _IN_MILLISECONDS else 1) - time.time())
        if number <= LONGEST_RETRY_AFTER:
            return number
    return None
