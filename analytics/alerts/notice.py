"""A message to people, before it has the format of a mailbox or a chat service."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Section:
    """Lines under a heading."""

    heading: str
    lines: Sequence[str]


@dataclass(frozen=True, slots=True)
class Notice:
    """A title, a sentence, figures by their names, and sections; all of them plain text.

    ``data`` is what webhooks get beside the text.
    """

    title: str
    text: str
    facts: Sequence[tuple[str, str]] = ()
    sections: Sequence[Section] = ()
    data: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return the message as it is stored."""
        return asdict(self)

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Notice:
        """Return a stored message."""
        return cls(
            stored["title"],
            stored["text"],
            [(name, value) for name, value in stored["facts"]],
            [Section(each["heading"], each["lines"]) for each in stored["sections"]],
            stored["data"],
        )
