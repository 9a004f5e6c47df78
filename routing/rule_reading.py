"""A rule read from what an operator wrote, each mistake named."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import time
from decimal import Decimal, InvalidOperation
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from routing.models import TIERS
from routing.patterns import PATTERNS
from routing.rules import ACTIONS, Match, Rule

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
FIELDS = (
    "name", "patterns", "tiers", "tags", "users", "texts", "min_tokens", "max_tokens",
    "weekdays", "since", "until", "zone", "action", "models", "quality_target", "cost_cap",
)  # fmt: skip


class RuleError(ValueError):
    """What is wrong with a rule; ``field`` says where."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


def read_rule(raw: Mapping[str, Any]) -> Rule:
    """``raw`` has some of :data:`FIELDS`; empty values count as absent.

    Raises :class:`RuleError`.
    """
    given = {key: value for key, value in raw.items() if value not in (None, "", [], ())}
    for key in given:
        if key not in FIELDS:
            raise RuleError(key, f"is unknown; known are {', '.join(FIELDS)}.")
    name = given.get("name")
    if not isinstance(name, str):
        raise RuleError("name", "is required.")
    rule = Rule(
        name=name,
        match=_match(given),
        action=_one_of(given, "action", ACTIONS),
        models=_texts(given, "models"),
        quality_target=_number(given, "quality_target", float, 0, 1),
        cost_cap=_number(given, "cost_cap", lambda value: Decimal(str(value)), 0, 1_000_000),
    )
    if bool(rule.action) != bool(rule.models):
        missing = "models" if rule.action else "action"
        raise RuleError(missing, "an action and the models that it is about go together.")
    if not rule.action and rule.quality_target is None and rule.cost_cap is None:
        raise RuleError("action", "the rule does nothing: give an action, a target or a cap.")
    return rule


def _match(given: Mapping[str, Any]) -> Match:
    least, most = (_number(given, name, int, 0, 10**9) for name in ("min_tokens", "max_tokens"))
    if least is not None and most is not None and least > most:
        raise RuleError("max_tokens", "is less than min_tokens.")
    days = _known(given, "weekdays", WEEKDAYS)
    return Match(
        patterns=_known(given, "patterns", PATTERNS),
        tiers=_known(given, "tiers", TIERS),
        tags=frozenset(_texts(given, "tags")),
        users=_texts(given, "users"),
        texts=_texts(given, "texts"),
        min_tokens=least,
        max_tokens=most,
        weekdays=frozenset(WEEKDAYS.index(day) for day in days),
        since=_time(given, "since"),
        until=_time(given, "until"),
        zone=_zone(given),
    )


def _texts(given: Mapping[str, Any], name: str) -> tuple[str, ...]:
    values = given.get(name, ())
    if isinstance(values, str):
        values = [values]
    if not isinstance(values, (list, tuple)) or not all(isinstance(v, str) and v for v in values):
        raise RuleError(name, "must be a text or a list of texts.")
    return tuple(values)


def _known(given: Mapping[str, Any], name: str, known: tuple[str, ...]) -> frozenset[str]:
    found = frozenset(_texts(given, name))
    if unknown := sorted(found - set(known)):
        raise RuleError(name, f"{unknown[0]!r} is none of {', '.join(known)}.")
    return found


def _one_of(given: Mapping[str, Any], name: str, known: tuple[Any, ...]) -> Any:
    value = given.get(name, "")
    if value and value not in known:
        raise RuleError(name, f"must be one of {', '.join(known)}.")
    return value


def _number(
    given: Mapping[str, Any], name: str, kind: Callable[[Any], Any], low: int, high: int
) -> Any:
    value = given.get(name)
    if value is None:
        return None
    try:
        if isinstance(value, bool):
            raise ValueError
        number = kind(value)
        within = low <= number <= high
    except (ValueError, TypeError, InvalidOperation, OverflowError):
        raise RuleError(name, "must be a number.") from None
    if not within:
        raise RuleError(name, f"must be between {low} and {high}.")
    return number


def _time(given: Mapping[str, Any], name: str) -> time | None:
    value = given.get(name)
    if value is None or isinstance(value, time):
        return value
    try:
        return time.fromisoformat(value)
    except (ValueError, TypeError):
        raise RuleError(name, "must be a time of day such as 18:30.") from None


def _zone(given: Mapping[str, Any]) -> str:
    zone = given.get("zone", "UTC")
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, TypeError, OSError):
        raise RuleError("zone", f"{zone!r} is no time zone; Europe/Zurich is one.") from None
    return str(zone)
