"""Read a prompt once: a sample of limited size and its words, for every analysis.

With the sample, a prompt of 1 MB costs as much as a page of text. Lookups of words in sets
keep the time linear for every kind of text.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_SAMPLE_CHARS = 1_000
"""Characters read from the start, and again from the end, of a prompt longer than twice this."""

_WORDS = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")
_ASCII_WORDS = re.compile(r"[a-z0-9]+(?:'[a-z0-9]+)?")
"""The same for lower-case ASCII text, for which it is a quarter faster."""
_DIGITS = b"0123456789"
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_WIDE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")


def numbers_in(text: str) -> tuple[str, ...]:
    """Return the numbers as written, with their separators: "1,000" is one number."""
    if text.isascii():
        raw = text.encode()
        if len(raw.translate(None, _DIGITS)) == len(raw):
            return ()
    return tuple(_NUMBER.findall(text))


@dataclass(frozen=True, slots=True)
class PromptText:
    """A prompt as it was read.

    ``length`` is that of the whole prompt, in characters. ``sample`` is the part that was
    read, ``lower`` the sample in lower case; ``words`` (lower case) and ``numbers`` are in
    order. ``wide`` counts characters of scripts that write words without spaces.
    """

    length: int
    sample: str
    lower: str
    words: tuple[str, ...]
    numbers: tuple[str, ...]
    wide: int

    @classmethod
    def read(cls, prompt: str) -> PromptText:
        """Read ``prompt``, or a sample of it if it is long."""
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
        """Estimated input tokens, at least 1: one for four characters or one wide character."""
        wide_share = self.wide / max(1, len(self.sample))
        return max(1, math.ceil(self.length * (wide_share + (1 - wide_share) / 4)))


@dataclass(frozen=True, slots=True)
class Lexicon:
    """A group of words that signal the same thing: whole words, phrases and wide-script terms.

    A word matches only a whole word: "class" is not found in "classic". Wide terms match
    anywhere, because their scripts have no word boundaries.
    """

    words: frozenset[str]
    phrases: tuple[str, ...] = ()
    wide: tuple[str, ...] = ()

    @classmethod
    def of(cls, words: str, phrases: Iterable[str] = (), wide: str = "") -> Lexicon:
        """Build a lexicon; ``words`` and ``wide`` are separated by spaces."""
        return cls(frozenset(words.split()), tuple(phrases), tuple(wide.split()))


class Lexicons:
    """Several lexicons that are searched together, so that each word is looked up only once."""

    def __init__(self, lexicons: Mapping[str, Lexicon]) -> None:
        self._zeros = dict.fromkeys(lexicons, 0)
        self._phrases = [(name, p) for name, lexicon in lexicons.items() for p in lexicon.phrases]
        self._wide = [(name, term) for name, lexicon in lexicons.items() for term in lexicon.wide]
        self._of_word: dict[str, tuple[str, ...]] = {}
        for name, lexicon in lexicons.items():
            for word in lexicon.words:
                self._of_word[word] = (*self._of_word.get(word, ()), name)

    def count(self, text: PromptText) -> dict[str, int]:
        """Return the matches of each lexicon in ``text``; a phrase or wide term counts once."""
        counts = self._zeros.copy()
        lower, sample = text.lower, text.sample
        for names in filter(None, map(self._of_word.get, text.words)):
            for name in names:
                counts[name] += 1
        for name, phrase in self._phrases:
            if phrase in lower:
                counts[name] += 1
        for name, term in self._wide if text.wide else ():
            if term in sample:
                counts[name] += 1
        return counts


@dataclass(frozen=True, slots=True)
class Marks:
    """Signs that are not words.

    ``literals`` are counted directly. Each pattern of ``guarded`` is searched only in a text
    that contains one of its hints; most texts contain none.
    """

    literals: tuple[str, ...]
    guarded: tuple[tuple[tuple[str, ...], re.Pattern[str]], ...] = ()

    def count(self, text: PromptText) -> int:
        """Return the number of signs in ``text``."""
        sample = text.sample
        count = sum(map(sample.count, self.literals))
        for hints, pattern in self.guarded:
            if any(map(sample.__contains__, hints)):
                count += len(pattern.findall(sample))
        return count
