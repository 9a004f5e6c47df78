"""Read a rule from an operator's input, with an error for each mistake."""

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
    """A mistake in a rule; ``field`` is the field with the mistake."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


def read_rule(raw: Mapping[str, Any]) -> Rule:
    """Return the rule in ``raw``, which has some of :data:`FIELDS`.

    Empty values count as absent. Raises :class:`RuleError`.
    """
    given = {key: value for key, value in raw.items() if value not in (None, "", [], ())}
    for key in given:
        if key not in FIELDS:
            raise RuleError(key, f"is not a known field. The fields are {', '.join(FIELDS)}.")
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
        if rule.action:
            raise RuleError("models", "are required, because the rule has an action.")
        raise RuleError("action", "is required, because the rule has models.")
    if not rule.action and rule.quality_target is None and rule.cost_cap is None:
        raise RuleError(
            "action", "is required, unless the rule has a quality target or a cost cap."
        )
    return rule


def _match(given: Mapping[str, Any]) -> Match:
    least, most = (_number(given, name, int, 0, 10**9) for name in ("min_tokens", "max_tokens"))
    if least is not None and most is not None and least > most:
        raise RuleError("max_tokens", "must not be less than min_tokens.")
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
    values = frozenset(_texts(given, name))
    if unknown := sorted(values - set(known)):
        raise RuleError(name, f"must be one of {', '.join(known)}, not {unknown[0]!r}.")
    return values


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
        raise RuleError(
            "zone", f"must be a time zone such as Europe/Zurich, not {zone!r}."
        ) from None
    return str(zone)
