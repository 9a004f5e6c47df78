"""The clauses that say which names mean a model of the price table."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Protocol


class MatchLogic(Protocol):
    """Decides which names mean a model."""

    def is_match(self, text: str) -> bool:
        """Return whether ``text`` means the model."""
        ...


@dataclass(slots=True)
class ClauseStartsWith:
    """Means names that begin so."""

    starts_with: str

    def is_match(self, text: str) -> bool:
        """Return whether ``text`` begins so."""
        return text.lower().startswith(self.starts_with.lower())


@dataclass(slots=True)
class ClauseEndsWith:
    """Means names that end so."""

    ends_with: str

    def is_match(self, text: str) -> bool:
        """Return whether ``text`` ends so."""
        return text.lower().endswith(self.ends_with.lower())


@dataclass(slots=True)
class ClauseContains:
    """Means names that contain this."""

    contains: str

    def is_match(self, text: str) -> bool:
        """Return whether ``text`` contains it."""
        return self.contains.lower() in text.lower()


@dataclass(slots=True)
class ClauseRegex:
    """Means names in which the pattern occurs."""

    regex: str

    def is_match(self, text: str) -> bool:
        """Return whether the pattern occurs in ``text``."""
        return re.search(self.regex, text) is not None


@dataclass(slots=True)
class ClauseEquals:
    """Means this name alone."""

    equals: str

    def is_match(self, text: str) -> bool:
        """Return whether ``text`` is the name."""
        return text.lower() == self.equals.lower()


@dataclass(slots=True)
class ClauseOr:
    """Means names that one of the clauses means."""

    or_: list[MatchLogic]

    def is_match(self, text: str) -> bool:
        """Return whether one of the clauses means ``text``."""
        return any(clause.is_match(text) for clause in self.or_)


@dataclass(slots=True)
class ClauseAnd:
    """Means names that all of the clauses mean."""

    and_: list[MatchLogic]

    def is_match(self, text: str) -> bool:
        """Return whether all of the clauses mean ``text``."""
        return all(clause.is_match(text) for clause in self.and_)
