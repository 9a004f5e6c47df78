"""What a check finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warning", "wrong"]


@dataclass(frozen=True, slots=True)
class Finding:
    """``about`` is what was looked at, ``words`` how it is, ``cure`` what to do, where there is
    something to do. Never a secret, nor an address with one.
    """

    about: str
    level: Level
    words: str
    cure: str = ""

    def as_dict(self) -> dict[str, str]:
        return {
            "about": self.about, "level": self.level, "words": self.words, "cure": self.cure
        }  # fmt: skip


def ok(about: str, words: str) -> Finding:
    return Finding(about, "ok", words)


def warning(about: str, words: str, cure: str) -> Finding:
    return Finding(about, "warning", words, cure)


def wrong(about: str, words: str, cure: str) -> Finding:
    return Finding(about, "wrong", words, cure)
