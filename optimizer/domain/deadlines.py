"""By when a client wants its answer, and whether it will come back for it."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from providers.values import frozen
from routing.durations import read_duration

MAX_DEADLINE_SECONDS = 7 * 24 * 3600
"""The longest deadline: what waits for longer than a week is forgotten, not deferred."""
_DATED = re.compile(r"\d{4}-\d\d-\d\d[Tt ]")
_WRONG = (
    "must be seconds, a duration such as 90s, 30m, 6h or 2d, or a time with its zone such as "
    "2026-12-01T06:00:00Z"
)


@frozen
class Delivery:
    """How a client may get its answer.

    ``deadline`` are seconds from the request on, ``None`` if it names none. ``accepts_later`` is
    whether it accepts the id of the answer in place of the answer. ``webhook`` is the URL that is
    called once the answer is there, empty for none.
    """

    deadline: float | None = None
    accepts_later: bool = False
    webhook: str = ""


def read_deadline(value: Any, now: datetime | None = None) -> float:
    """Return a deadline as seconds from ``now`` on.

    ``value`` is a number of seconds, a duration ("6h") or a time with its zone (RFC 3339).
    Raises :class:`ValueError`, whose message says what is wrong with it.
    """
    if isinstance(value, str) and _DATED.match(value.strip()):
        try:
            at = datetime.fromisoformat(value.strip())
        except ValueError:
            raise ValueError(f"{_WRONG}.") from None
        if at.tzinfo is None:
            raise ValueError("must name its time zone, such as 2026-12-01T06:00:00Z.")
        seconds = (at - (now or datetime.now(UTC))).total_seconds()
        if seconds <= 0:
            raise ValueError("has passed already.")
    else:
        try:
            seconds = read_duration(value)
        except ValueError:
            raise ValueError(f"{_WRONG}.") from None
    if not 0 < seconds <= MAX_DEADLINE_SECONDS:
        raise ValueError(f"must be within {MAX_DEADLINE_SECONDS} seconds, which is a week.")
    return seconds


def prefers_later(prefer: str) -> bool:
    """Return whether a ``Prefer`` header has ``respond-async`` (RFC 7240, section 4.1)."""
    return any(part.split(";")[0].strip().lower() == "respond-async" for part in prefer.split(","))
