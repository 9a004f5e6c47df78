"""Text of clients, made fit to be shown anywhere: one line, and nothing that acts."""

from __future__ import annotations

import re

# Control characters (escape sequences of terminals begin with one), line separators, marks that
# reorder text, invisible tags, and halves of characters, which no encoding can write.
_ACTING = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff"
    r"\ufff9-\ufffb\ufffe\uffff\ud800-\udfff\U000e0000-\U000e007f]"
)


def printable(text: str, keep: str = "") -> str:
    """Return ``text`` with its acting characters written as escapes, apart from ``keep``.

    They are written as in Python: a line break as a backslash and an n.
    """
    if text.isascii() and text.isprintable():
        return text
    return _ACTING.sub(lambda match: _escaped(match[0], keep), text)


def _escaped(character: str, keep: str) -> str:
    return character if character in keep else ascii(character)[1:-1]
