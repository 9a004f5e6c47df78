"""Read a rule from an operator's input, with an error for each mistake."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from datetime import time
from decimal import Decimal, InvalidOperation
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from routing.durations import read_duration
from routing.models import TIERS
from routing.patterns import PATTERNS
from routing.rules import ACTIONS, Match, Rule

_LONGEST_DEADLINE = 7 * 24 * 3600
_LONGEST_NOTE = 500
_MOST_REGIONS = 6
_REGION = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
REGIONS_WANTED = (
    f"must be at most {_MOST_REGIONS} regions of lower-case letters, digits and hyphens."
)
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
TURNS = (
    "human", "tool_result", "sub_agent", "title", "summary", "compaction", "probe",
    "classification", "other",
)  # fmt: skip
"""The kinds of turns in a session of an agent."""
FIELDS = (
    "name", "patterns", "tiers", "tags", "users", "texts", "min_tokens", "max_tokens",
    "weekdays", "since", "until", "zone", "turns", "agents", "requested_models", "only_text",
    "action", "models", "quality_target", "cost_cap", "latency_cap", "deadline", "answer_note",
    "note_everywhere", "residency",
)  # fmt: skip


def are_regions(names: Collection[str]) -> bool:
    """Return whether ``names`` may be the regions that data must not leave."""
    return len(names) <= _MOST_REGIONS and all(map(_REGION.fullmatch, names))


class RuleError(ValueError):
    """A mistake in a rule; ``field`` is the field with the mistake."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


def read_rule(raw: Mapping[str, Any]) -> Rule:
    """Return the rule in ``raw``, which has some of :data:`FIELDS`.

    Empty values and ``False`` count as absent. Raises :class:`RuleError`.
    """
    fields = {
        key: value
        for key, value in raw.items()
        if value is not False and value not in (None, "", [], ())
    }
    for key in fields:
        if key not in FIELDS:
            raise RuleError(key, f"is not a known field. The fields are {', '.join(FIELDS)}.")
    name = fields.get("name")
    if not isinstance(name, str):
        raise RuleError("name", "is required.")
    rule = Rule(
        name=name,
        match=_match(fields),
        action=_one_of(fields, "action", ACTIONS),
        models=_texts(fields, "models"),
        quality_target=_number(fields, "quality_target", float, 0, 1),
        cost_cap=_number(fields, "cost_cap", lambda value: Decimal(str(value)), 0, 1_000_000),
        latency_cap=_number(fields, "latency_cap", float, 0, 3_600),
        deadline=_deadline(fields),
        answer_note=_note(fields),
        note_everywhere=_flag(fields, "note_everywhere"),
        residency=_regions(fields),
    )
    if rule.action == "route":
        if rule.models:
            raise RuleError("models", "are not for this action: it leaves the choice to routing.")
    elif bool(rule.action) != bool(rule.models):
        if rule.action:
            raise RuleError("models", "are required, because the rule has an action.")
        raise RuleError("action", "is required, because the rule has models.")
    bounds = (rule.quality_target, rule.cost_cap, rule.latency_cap, rule.deadline)
    if rule.note_everywhere and not rule.answer_note:
        raise RuleError("answer_note", "is required where note_everywhere is set.")
    changes = rule.action or rule.answer_note or rule.residency
    if not changes and all(bound is None for bound in bounds):
        raise RuleError(
            "action",
            "is required, unless the rule has a quality target, a cost cap, a latency cap, a "
            "deadline, an answer note or a residency.",
        )
    return rule


def _match(fields: Mapping[str, Any]) -> Match:
    min_tokens, max_tokens = (
        _number(fields, name, int, 0, 10**9) for name in ("min_tokens", "max_tokens")
    )
    if min_tokens is not None and max_tokens is not None and min_tokens > max_tokens:
        raise RuleError("max_tokens", "must not be less than min_tokens.")
    days = _some_of(fields, "weekdays", WEEKDAYS)
    return Match(
        patterns=_some_of(fields, "patterns", PATTERNS),
        tiers=_some_of(fields, "tiers", TIERS),
        tags=frozenset(_texts(fields, "tags")),
        users=_texts(fields, "users"),
        texts=_texts(fields, "texts"),
        min_tokens=min_tokens,
        max_tokens=max_tokens,
        weekdays=frozenset(WEEKDAYS.index(day) for day in days),
        since=_time(fields, "since"),
        until=_time(fields, "until"),
        zone=_zone(fields),
        turns=_some_of(fields, "turns", TURNS),
        agents=_texts(fields, "agents"),
        requested_models=_texts(fields, "requested_models"),
        only_text=_flag(fields, "only_text"),
    )


def _texts(fields: Mapping[str, Any], name: str) -> tuple[str, ...]:
    values = fields.get(name, ())
    if isinstance(values, str):
        values = [values]
    if not isinstance(values, (list, tuple)) or not all(isinstance(v, str) and v for v in values):
        raise RuleError(name, "must be a text or a list of texts.")
    return tuple(values)


def _some_of(fields: Mapping[str, Any], name: str, allowed: tuple[str, ...]) -> frozenset[str]:
    values = frozenset(_texts(fields, name))
    if unknown := sorted(values - set(allowed)):
        raise RuleError(name, f"must be one of {', '.join(allowed)}, not {unknown[0]!r}.")
    return values


def _regions(fields: Mapping[str, Any]) -> frozenset[str]:
    regions = frozenset(_texts(fields, "residency"))
    if not are_regions(regions):
        raise RuleError("residency", REGIONS_WANTED)
    return regions


def _one_of(fields: Mapping[str, Any], name: str, allowed: tuple[Any, ...]) -> Any:
    value = fields.get(name, "")
    if value and value not in allowed:
        raise RuleError(name, f"must be one of {', '.join(allowed)}.")
    return value


def _number(
    fields: Mapping[str, Any], name: str, kind: Callable[[Any], Any], low: int, high: int
) -> Any:
    value = fields.get(name)
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


def _deadline(fields: Mapping[str, Any]) -> float | None:
    value = fields.get("deadline")
    if value is None:
        return None
    try:
        seconds = read_duration(value)
    except ValueError as error:
        raise RuleError("deadline", f"{error}.") from None
    if not 0 < seconds <= _LONGEST_DEADLINE:
        raise RuleError("deadline", f"must be within {_LONGEST_DEADLINE} seconds.")
    return seconds


def _note(fields: Mapping[str, Any]) -> str:
    value = fields.get("answer_note", "")
    if not isinstance(value, str) or len(value) > _LONGEST_NOTE:
        raise RuleError("answer_note", f"must be a text of at most {_LONGEST_NOTE} characters.")
    return value.strip()


def _flag(fields: Mapping[str, Any], name: str) -> bool:
    value = fields.get(name, False)
    if not isinstance(value, bool):
        raise RuleError(name, "must be true or false.")
    return value


def _time(fields: Mapping[str, Any], name: str) -> time | None:
    value = fields.get(name)
    if value is None or isinstance(value, time):
        return value
    try:
        return time.fromisoformat(value)
    except (ValueError, TypeError):
        raise RuleError(name, "must be a time of day such as 18:30.") from None


def _zone(fields: Mapping[str, Any]) -> str:
    zone = fields.get("zone", "UTC")
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, TypeError, OSError):
        raise RuleError(
            "zone", f"must be a time zone such as Europe/Zurich, not {zone!r}."
        ) from None
    return str(zone)
