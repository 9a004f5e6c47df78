"""Reads fields of JSON whose types nobody has checked: a wrong type reads as nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

MOST_COUNT = 1_000_000_000
"""More than any provider does for one request; a larger number is a mistake of the client's."""


def camel_case(name: str) -> str:
    """Return a name in snake_case in camelCase."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def in_either_case(values: Mapping[str, Any], name: str) -> Any:
    """Return the field by its name in camelCase, or by the one in snake_case: Google takes both."""
    value = values.get(name)
    if value is not None:
        return value
    return values.get("".join(f"_{c.lower()}" if c.isupper() else c for c in name))


def texts_within(value: Any) -> Iterator[str]:
    """Yield every text within ``value``, however deep."""
    values = [value]
    while values:
        value = values.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, list):
            values.extend(value)
        elif isinstance(value, Mapping):
            values.extend(value.values())


def mapping_of(value: Any) -> Mapping[str, Any]:
    """Return an object of JSON; empty if the client sent another type."""
    return value if isinstance(value, Mapping) else {}


def objects_of(value: Any) -> list[dict[str, Any]]:
    """Return the objects of a list; none if it is another type."""
    items = value if isinstance(value, list) else []
    return [item for item in items if isinstance(item, dict)]


def text_of(value: Any) -> str:
    """Return a string; empty if the client sent another type, which only its own wire judges."""
    return value if isinstance(value, str) else ""


def count_of(value: Any) -> int:
    """Return a count from 0 to :data:`MOST_COUNT`, which Google's JSON also writes as a string."""
    if isinstance(value, str) and value.isdecimal() and len(value) < 20:
        value = int(value)
    if isinstance(value, float) and value == value:
        value = int(min(max(value, 0), MOST_COUNT))
    if not isinstance(value, int) or isinstance(value, bool):
        return 0
    return min(max(value, 0), MOST_COUNT)
