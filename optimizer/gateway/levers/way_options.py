"""The options of the levers of effort and service tier, as an operator sets them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from optimizer.domain.turns import (
    CLASSIFICATION,
    COMPACTION,
    KINDS,
    PROBE,
    SUMMARY,
    TITLE,
    TOOL_RESULT,
)
from providers.effort_levels import LEVELS
from providers.values import frozen

MECHANICAL = frozenset({TOOL_RESULT, TITLE, SUMMARY, COMPACTION, CLASSIFICATION, PROBE})
"""Kinds of turns that need little reasoning."""
_LONGEST_WAIT = 3600


class WayOptionError(ValueError):
    """An option of a lever is wrong; the message begins with its name."""


@frozen
class EffortOptions:
    """Which turns are asked for less, and how much.

    ``turns`` are asked for ``level``. ``choose`` lowers the effort that a person's turn states,
    ``named`` that of a request which names its model.
    """

    turns: frozenset[str] = MECHANICAL
    level: str = "low"
    choose: bool = False
    named: bool = False

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> EffortOptions:
        """Read the lever's options. Raises :class:`WayOptionError`."""
        _check_names(options, ("turns", "level", "people", "named"))
        turns = options.get("turns", sorted(MECHANICAL))
        if not isinstance(turns, list) or not all(turn in KINDS for turn in turns):
            raise WayOptionError(f"turns: must be a list of {', '.join(KINDS)}")
        level, people = options.get("level", "low"), options.get("people", "unasked")
        if level not in LEVELS[1:]:
            raise WayOptionError(f"level: must be one of {', '.join(LEVELS[1:])}")
        if people not in ("unasked", "choose"):
            raise WayOptionError("people: must be unasked or choose")
        return cls(frozenset(turns), level, people == "choose", _flag(options, "named", False))


@frozen
class FlexOptions:
    """Whether requests that name their model take part, and the least seconds for the tier."""

    named: bool = True
    least_seconds: float = 60.0

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> FlexOptions:
        """Read the lever's options. Raises :class:`WayOptionError`."""
        _check_names(options, ("named", "least_seconds"))
        least = options.get("least_seconds", 60.0)
        if isinstance(least, bool) or not isinstance(least, int | float):
            raise WayOptionError("least_seconds: must be a number of seconds")
        if not 1 <= least <= _LONGEST_WAIT:
            raise WayOptionError(f"least_seconds: must be between 1 and {_LONGEST_WAIT}")
        return cls(_flag(options, "named", True), float(least))


def _check_names(options: Mapping[str, Any], known: tuple[str, ...]) -> None:
    for name in options:
        if name not in known:
            raise WayOptionError(f"{name}: there is no such option; {', '.join(known)} are")


def _flag(options: Mapping[str, Any], name: str, default: bool) -> bool:
    value = options.get(name, default)
    if not isinstance(value, bool):
        raise WayOptionError(f"{name}: must be true or false")
    return value
