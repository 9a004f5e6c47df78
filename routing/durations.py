"""Reads how long something may take, as people write it: 90, "90s", "30m", "6h", "2d"."""

from __future__ import annotations

import re
from typing import Any

_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}
_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)\s*([smhd]?)", re.ASCII)


def read_duration(value: Any) -> float:
    """Return a duration in seconds: a number, or a text of a number and s, m, h or d.

    Raises :class:`ValueError` for anything else.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:  # an integer of hundreds of digits
            raise ValueError("must be a number of seconds that a clock can count") from None
    match = _DURATION.fullmatch(value.strip().lower()) if isinstance(value, str) else None
    if match is None:
        raise ValueError("must be seconds, or a duration such as 90s, 30m, 6h or 2d")
    return float(match[1]) * _SECONDS[match[2]]


def duration_text(seconds: float) -> str:
    """Return ``seconds`` as a text that :func:`read_duration` reads, in the largest whole unit."""
    for unit in ("d", "h", "m"):
        if seconds and seconds % _SECONDS[unit] == 0:
            return f"{seconds / _SECONDS[unit]:g}{unit}"
    return f"{seconds:g}s"
