r"""The scripts of a text: where words end, and one spelling of what is spelled in several ways.

Python's ``\w`` runs on from one script into the next, so "用docker部署" is one word to it. A
reader sees three.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Literal

_LATIN_LETTERS = (
    "a-z0-9\u00aa\u00b2\u00b3\u00b5\u00b9\u00ba\u00df-\u00f6\u00f8-\u02af\u0300-\u036f"
    # Greek letters stand in formulas, so they do not end a Latin word.
    "\u0370-\u03ff\u1e00-\u1fff\u2070-\u209f"
)
_WIDE_LETTERS = (
    "\u0e01-\u0e3a\u0e40-\u0e4e\u0e81-\u0ece\u1000-\u1049\u1780-\u17d3\u3005-\u3007\u3041-\u3096"
    "\u30a1-\u30fa\u30fc-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff\uff66-\uff9d"
    "\U00020000-\U0003ffff"
)
# Vowel signs and other marks, which are no letters to Python, though they are within words.
_MARKS = (
    "\u0483-\u0487\u0591-\u05bd\u05bf-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06ed"
    "\u0900-\u0963\u0971-\u0de5\u200c\u200d"
)
_OTHER = rf"(?:[^\W_{_LATIN_LETTERS}{_WIDE_LETTERS}]|[{_MARKS}])"
WORDS = re.compile(
    rf"[{_LATIN_LETTERS}]+(?:['’][{_LATIN_LETTERS}]+)?|[{_WIDE_LETTERS}]+"
    rf"|{_OTHER}+(?:['’]{_OTHER}+)?"
)
"""Words of lower-case text in any scripts."""

# Scripts by block: 256 characters from a multiple of 256. Characters of other blocks have no
# words in the vocabulary.
_SCRIPT_OF_BLOCK = {
    **dict.fromkeys((0x01, 0x02, 0x1E), "latin"),
    **dict.fromkeys((0x03, 0x1F), "greek"),
    0x04: "cyrillic",
    0x05: "hebrew",
    0x06: "arabic",
    0x09: "indic",
    0x0E: "thai",
    0x30: "kana",
    **dict.fromkeys(range(0x34, 0xA0), "han"),
    **dict.fromkeys(range(0xAC, 0xD8), "hangul"),
}
_ACCENTED = re.compile("[\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u00ff]")

UNSPACED = frozenset({"han", "kana", "thai"})
"""Scripts that write words without spaces between them."""

PREFIXES = {"arabic": "وفبلكا", "hebrew": "והבלכמש"}
"""Letters that stand before a word without a space: "and", "the", "to"."""

_SPELLINGS = {
    **dict.fromkeys("أإآٱ", "ا"),
    **dict(zip("ىیکةёıς’", "ييكهеiσ'", strict=True)),
    **dict.fromkeys("ـ\u0307\u200c\u200d", ""),
    **dict.fromkeys(map(chr, (*range(0x0591, 0x05BE), *range(0x064B, 0x0660))), ""),
}
_OTHER_WIDTH = re.compile("[\uff10-\uff19\uff21-\uff3a\uff41-\uff5a\uff66-\uff9f]")
_RESPELLED = re.compile(f"[{''.join(_SPELLINGS)}]")


def fold(text: str) -> str:
    """Return lower-case ``text`` in one spelling: no vowel points, one form of each letter."""
    return _RESPELLED.sub(_spelling, composed(text))


def composed(text: str) -> str:
    """Return ``text`` with letters of usual width, each one character with its accents."""
    form: Literal["NFC", "NFKC"] = "NFKC" if _OTHER_WIDTH.search(text) else "NFC"
    return unicodedata.normalize(form, text)


def _spelling(match: re.Match[str]) -> str:
    return _SPELLINGS[match.group()]


def scripts_of(text: str) -> frozenset[str]:
    """Return the scripts in ``text`` that have a vocabulary; plain ASCII letters are none."""
    blocks = set(text.encode("utf-16-le", "surrogatepass")[1::2])
    scripts = {_SCRIPT_OF_BLOCK[block] for block in blocks if block in _SCRIPT_OF_BLOCK}
    if _ACCENTED.search(text):
        scripts.add("latin")
    return frozenset(scripts)


def without_accents(word: str) -> str:
    """Return ``word`` as it is typed on a keyboard without its accents."""
    marks = unicodedata.normalize("NFD", word)
    return "".join(c for c in marks if not unicodedata.combining(c)).replace("ł", "l")
