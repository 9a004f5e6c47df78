"""Read numbers and times in the headers that providers send; what is odd says nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

LONGEST_RETRY_AFTER = 24 * 3600.0
_LONGEST_DURATION = 40
_ISO = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T")
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|us|µs|ns|h|m|s|d)")
_SECONDS = {
    "d": 86_400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9,
}  # fmt: skip
_NUMBER = re.compile(r"[0-9]{1,15}(?:\.[0-9]{1,15})?")


def plain_number(text: str | None) -> float | None:
    """Return a number of zero or more in digits; ``None`` for all else, such as "nan" and "inf"."""
    text = (text or "").strip()
    return float(text) if _NUMBER.fullmatch(text) else None


def retry_after_seconds(headers: Mapping[str, str]) -> float | None:
    """Return ``Retry-After`` in seconds: a number or an HTTP date (RFC 9110, section 10.2.3).

    OpenAI and Anthropic also send ``retry-after-ms``, and others a time as "20s" or by ISO 8601.
    The result is ``None`` if neither is there or readable, else from 0 seconds to a day.
    """
    milliseconds = plain_number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        seconds: float | None = milliseconds / 1000
    else:
        value = headers.get("retry-after") or ""
        seconds = plain_number(value)
        if seconds is None:
            seconds = duration(value)
        if seconds is None:
            seconds = _seconds_until(value)
    return None if seconds is None else min(seconds, LONGEST_RETRY_AFTER)


def duration(text: str) -> float | None:
    """Return the seconds of "6m0s", "12ms" or "1.5s", ``None`` for all else."""
    text = text.strip()
    parts = _DURATION.findall(text) if len(text) <= _LONGEST_DURATION else []
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return None
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)


def _seconds_until(date: str) -> float | None:
    try:
        iso = _ISO.match(date.strip())
        when = datetime.fromisoformat(date.strip()) if iso else parsedate_to_datetime(date)
        when = when if when.tzinfo else when.replace(tzinfo=UTC)
        return max(0.0, (when - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
