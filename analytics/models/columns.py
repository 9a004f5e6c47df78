"""What columns of several tables have in common."""

from __future__ import annotations


def choices(values: tuple[str, ...]) -> list[tuple[str, str]]:
    """A column's choices, each called what it is."""
    return [(value, value) for value in values]
