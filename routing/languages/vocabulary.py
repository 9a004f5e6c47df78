"""The words of work in all languages but English, by kind of work."""

from __future__ import annotations

from routing.languages.latin_script import LATIN_SCRIPT
from routing.languages.other_scripts import OTHER_SCRIPTS

KINDS: tuple[str, ...] = (
    "plan", "compare", "prove", "explain", "bound", "build", "calculate", "story",
)  # fmt: skip
"""Kinds of work: design and implement, compare and analyze, prove and derive, explain and
reason, limit what is allowed, write code, calculate, tell a story."""

NO_WORK = "none"
"""The kind of the words that hold a term of another kind and mean something else."""


def terms_of(*kinds: str) -> tuple[str, ...]:
    """Return the terms of ``kinds`` in all languages, each once."""
    tables = (*LATIN_SCRIPT.values(), *OTHER_SCRIPTS.values())
    matched = (term for table in tables for kind in kinds for term in table.get(kind, "").split())
    return tuple(dict.fromkeys(matched))
