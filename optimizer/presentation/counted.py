"""Numbers with their nouns: "1 request", "2,000 requests"."""

from __future__ import annotations


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return the number with its noun; ``plural`` is the noun with an s by default."""
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"
