"""Two answers of the cheap model must agree: a guess comes out differently when it is repeated."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from typing import Any

from optimizer.gateway.levers.cascade.checks.verdicts import CheckedAnswer, Verdict

_SHORT = 80
_LAST_WORDS = re.compile(
    r"(?:^|\b)(?:final answer|answer|result)\W{0,3}(?:is\b|:|=)\s*(.{1,80})$",
    re.IGNORECASE | re.MULTILINE,
)
_BOXED = re.compile(r"\\boxed\{([^{}]{1,80})\}")
_WORDS = re.compile(r"\w+")
_NUMBERS = re.compile(r"\d+(?:[.,]\d+)*")
_EDGES = " \t\r\n.,;:!?*_`'\"()[]{}$“”‘’"
_MOST_CHARS = 200_000
_ENDING_CHARS = 300


class AgreementCheck:
    """Applies to texts that the model was free to word.

    Short answers, choices and JSON must be the same; of longer ones what they conclude, and
    ``likeness`` (0-1) of their words.
    """

    name = "agreement"

    def __init__(self, likeness: float) -> None:
        self._likeness = likeness

    async def verdict(self, answer: CheckedAnswer) -> Verdict:
        """Return whether both answers agree."""
        if answer.another is None:
            return Verdict(self.name, "undecided", "there is no second answer")
        one, other = answer.completion.text, answer.another.text
        if not one.strip() or not other.strip():
            return Verdict(self.name, "undecided", "an answer has no text")
        if max(len(one), len(other)) > _MOST_CHARS:
            return Verdict(self.name, "undecided", "the answers are too long to compare")
        agrees, reason = agreement(one, other, self._likeness)
        return Verdict(self.name, "passed" if agrees else "failed", reason)


def agreement(one: str, other: str, likeness: float) -> tuple[bool, str]:
    """Return whether two answers say the same, and how that was compared."""
    first, second = _json(one), _json(other)
    if first is not None or second is not None:
        return first == second, "compared as JSON"
    concluded = _conclusion(one), _conclusion(other)
    if concluded[0] and concluded[1]:
        return concluded[0] == concluded[1], "compared by what they conclude"
    if max(len(one.strip()), len(other.strip())) <= _SHORT:
        return _plain(one) == _plain(other), "compared as short answers"
    if _numbers(one) != _numbers(other):
        return False, "they end with other numbers"
    alike = _alike(one, other)
    words = f"their words are alike by {alike:.2f}, of {likeness:.2f} that they must be"
    return alike >= likeness, words


def _json(text: str) -> Any:
    """Return the object or list that a text is, ``None`` for any other text."""
    text = text.strip()
    if text.startswith("```"):
        text = text.removeprefix("```json").strip("`\n ")
    if not text.startswith(("{", "[")):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _conclusion(text: str) -> str:
    """Return what a text names as its answer, "" if it names none."""
    named = _BOXED.findall(text) or _LAST_WORDS.findall(text)
    return _plain(named[-1]) if named else ""


def _plain(text: str) -> str:
    return " ".join(text.casefold().split()).strip(_EDGES)


def _numbers(text: str) -> list[str]:
    """Return the numbers in the end of a text, where its result stands."""
    return sorted(set(_NUMBERS.findall(text[-_ENDING_CHARS:])))


def _alike(one: str, other: str) -> float:
    """Return the cosine of the counts of both texts' words, 0-1."""
    first, second = (Counter(_WORDS.findall(text.casefold())) for text in (one, other))
    product = sum(count * second[word] for word, count in first.items())
    lengths = (math.sqrt(sum(n * n for n in counts.values())) for counts in (first, second))
    size = math.prod(lengths)
    return product / size if size else 0.0
