"""A prompt read once: the bounded sample and its words, shared by every analysis.

Reading a bounded sample keeps the cost of a 1 MB prompt that of a page of
text, and looking words up in sets keeps it linear whatever the text is made of.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_SAMPLE_CHARS = 1_000
"""Read from the head and again from the tail of a prompt longer than twice this."""

_WORDS = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")
_ASCII_WORDS = re.compile(r"[a-z0-9]+(?:'[a-z0-9]+)?")
"""The same for lower-case ASCII, where it is a quarter faster."""
_DIGITS = b"0123456789"
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_WIDE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")


def numbers_in(text: str) -> tuple[str, ...]:
    """Numbers as written, separators included: "1,000" is one."""
    if text.isascii():
        raw = text.encode()
        if len(raw.translate(None, _DIGITS)) == len(raw):
            return ()
    return tuple(_NUMBER.findall(text))


@dataclass(frozen=True, slots=True)
class PromptText:
    """``sample`` as written, ``lower`` folded, ``words`` lower-case and ``numbers`` in order.

    ``wide`` counts characters of scripts that write words without spaces.
    """

    length: int
    sample: str
    lower: str
    words: tuple[str, ...]
    numbers: tuple[str, ...]
    wide: int

    @classmethod
    def read(cls, prompt: str) -> PromptText:
        sample = prompt
        if len(prompt) > 2 * _SAMPLE_CHARS:
            sample = f"{prompt[:_SAMPLE_CHARS]}\n{prompt[-_SAMPLE_CHARS:]}"
        lower, ascii_only = sample.lower(), sample.isascii()
        return cls(
            length=len(prompt),
            sample=sample,
            lower=lower,
            words=tuple((_ASCII_WORDS if ascii_only else _WORDS).findall(lower)),
            numbers=numbers_in(sample),
            wide=0 if ascii_only else len(_WIDE.findall(sample)),
        )

    @property
    def tokens(self) -> int:
        """Estimated input tokens, at least 1: four characters each, one for a wide character."""
        wide_share = self.wide / max(1, len(self.sample))
        return max(1, math.ceil(self.length * (wide_share + (1 - wide_share) / 4)))


@dataclass(frozen=True, slots=True)
class Lexicon:
    """Words that signal something: whole words, phrases, and wide-script terms.

    Words match whole, so "class" is not found in "classic". Wide terms match
    anywhere, as those scripts have no word boundary to hold on to.
    """

    words: frozenset[str]
    phrases: tuple[str, ...] = ()
    wide: tuple[str, ...] = ()

    @classmethod
    def of(cls, words: str, phrases: Iterable[str] = (), wide: str = "") -> Lexicon:
        return cls(frozenset(words.split()), tuple(phrases), tuple(wide.split()))


class Lexicons:
    """Several lexicons looked up together: each word of a text is looked at once."""

    def __init__(self, lexicons: Mapping[str, Lexicon]) -> None:
        self._none = dict.fromkeys(lexicons, 0)
        self._phrases = [(name, p) for name, found in lexicons.items() for p in found.phrases]
        self._wide = [(name, term) for name, found in lexicons.items() for term in found.wide]
        self._of_word: dict[str, tuple[str, ...]] = {}
        for name, lexicon in lexicons.items():
            for word in lexicon.words:
                self._of_word[word] = (*self._of_word.get(word, ()), name)

    def count(self, text: PromptText) -> dict[str, int]:
        """How often each lexicon speaks in ``text``; each phrase and wide term counts once."""
        found = self._none.copy()
        lower, sample = text.lower, text.sample
        for names in filter(None, map(self._of_word.get, text.words)):
            for name in names:
                found[name] += 1
        for name, phrase in self._phrases:
            if phrase in lower:
                found[name] += 1
        for name, term in self._wide if text.wide else ():
            if term in sample:
                found[name] += 1
        return found


@dataclass(frozen=True, slots=True)
class Marks:
    """Signs that are not words. ``literals`` count as they stand; each pattern of ``guarded``
    is searched only in a text that holds one of its hints, as most texts hold none.
    """

    literals: tuple[str, ...]
    guarded: tuple[tuple[tuple[str, ...], re.Pattern[str]], ...] = ()

    def count(self, text: PromptText) -> int:
        """How many marks there are in ``text``."""
        sample = text.sample
        found = sum(map(sample.count, self.literals))
        for hints, pattern in self.guarded:
            if any(map(sample.__contains__, hints)):
                found += len(pattern.findall(sample))
        return found
