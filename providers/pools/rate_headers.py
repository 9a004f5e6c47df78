"""What the headers of an answer say is left of a key's rate limits.

OpenAI: ``x-ratelimit-remaining-requests: 4999``, ``x-ratelimit-reset-requests: 12ms``; the same
for tokens (https://platform.openai.com/docs/guides/rate-limits). Azure has the same names,
without a time or with whole seconds, and -1 where it knows none
(https://learn.microsoft.com/answers/questions/5625878). Anthropic:
``anthropic-ratelimit-requests-remaining: 999``, ``…-reset: 2025-08-21T12:40:59Z`` in RFC 3339;
the same for tokens, input-tokens and output-tokens (https://docs.anthropic.com/en/api/rate-limits).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from providers.http.header_values import duration, plain_number

_UNSAID_RESET = 10.0
"""Seconds for which a remainder holds that comes without a time: Azure counts in such windows."""
_LONGEST_RESET = 24 * 3600.0
_TOKENS = ("tokens", "input-tokens")


@dataclass(frozen=True, slots=True)
class Remaining:
    """How many ``left`` of a limit there are, of at most ``limit`` (0: unknown), until a reset."""

    left: int
    limit: int
    seconds: float


@dataclass(frozen=True, slots=True)
class RateLimitsLeft:
    """What is left of the limits on requests and on tokens, ``None`` where nothing is said."""

    requests: Remaining | None = None
    tokens: Remaining | None = None


def limits_left(headers: Mapping[str, str]) -> RateLimitsLeft | None:
    """Return what the headers of an answer say is left, ``None`` if they say nothing.

    ``headers`` are looked up without regard to case. Of several limits on input tokens, the one
    with the least left counts.
    """
    requests = _openai(headers, "requests")
    if requests is None and "x-ratelimit-remaining-tokens" not in headers:
        requests = _anthropic(headers, "requests")
        limits = [limit for kind in _TOKENS if (limit := _anthropic(headers, kind)) is not None]
        tokens = min(limits, key=lambda limit: limit.left, default=None)
    else:
        tokens = _openai(headers, "tokens")
    return None if requests is None and tokens is None else RateLimitsLeft(requests, tokens)


def _openai(headers: Mapping[str, str], kind: str) -> Remaining | None:
    left = _count(headers.get(f"x-ratelimit-remaining-{kind}"))
    if left is None:
        return None
    seconds = _duration(headers.get(f"x-ratelimit-reset-{kind}", ""))
    return Remaining(left, _count(headers.get(f"x-ratelimit-limit-{kind}")) or 0, seconds)


def _anthropic(headers: Mapping[str, str], kind: str) -> Remaining | None:
    left = _count(headers.get(f"anthropic-ratelimit-{kind}-remaining"))
    if left is None:
        return None
    seconds = _until(headers.get(f"anthropic-ratelimit-{kind}-reset", ""))
    return Remaining(left, _count(headers.get(f"anthropic-ratelimit-{kind}-limit")) or 0, seconds)


def _count(text: str | None) -> int | None:
    """Return a number of zero or more; -1 and whatever is no number says nothing."""
    number = plain_number(text)
    return int(number) if number is not None and number.is_integer() else None


def _duration(text: str) -> float:
    """Return the seconds of "6m0s", "12ms" or "7"."""
    text = text.strip()
    number = plain_number(text)
    if number is not None:
        return _usable(number) or _UNSAID_RESET
    seconds = duration(text)
    return _UNSAID_RESET if seconds is None else _usable(seconds)


def _until(text: str) -> float:
    """Return the seconds until a time of RFC 3339."""
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError:
        return _UNSAID_RESET
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return _usable((at - datetime.now(UTC)).total_seconds())


def _usable(seconds: float) -> float:
    """Return the seconds to a reset; one in more than a day is no time of this form."""
    return max(0.0, seconds) if seconds <= _LONGEST_RESET else _UNSAID_RESET
