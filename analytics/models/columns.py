"""Helpers for columns that several tables share."""

from __future__ import annotations


def choices(values: tuple[str, ...]) -> list[tuple[str, str]]:
    """Return the choices of a column, each value being its own label."""
    return [(value, value) for value in values]
