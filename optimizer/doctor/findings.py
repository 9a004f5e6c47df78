"""The result of a check."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warning", "wrong"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One result of a check.

    ``about`` names what was checked, ``words`` describes its state, and ``cure`` says
    what to do, if there is something to do. None of them contains a secret, nor an
    address with one.
    """

    about: str
    level: Level
    words: str
    cure: str = ""

    def as_dict(self) -> dict[str, str]:
        """Return the finding, ready for JSON."""
        return {
            "about": self.about, "level": self.level, "words": self.words, "cure": self.cure
        }  # fmt: skip


def ok(about: str, words: str) -> Finding:
    """Return a finding that all is well."""
    return Finding(about, "ok", words)


def warning(about: str, words: str, cure: str) -> Finding:
    """Return a finding that works now, but that an operator should look at."""
    return Finding(about, "warning", words, cure)


def wrong(about: str, words: str, cure: str) -> Finding:
    """Return a finding that must be fixed; it sets the exit status of the command."""
    return Finding(about, "wrong", words, cure)
