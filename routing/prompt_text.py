"""Read a prompt once: a sample of limited size and its words, for every analysis.

With the sample, a prompt of 1 MB costs as much as a page of text. Lookups of words in sets
keep the time linear for every kind of text.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import filterfalse

from routing.languages.scripts import WORDS, composed, fold, scripts_of
from routing.languages.terms import Terms
from routing.values import frozen
from routing.wording import UNEVEN, core_of, evened

_SAMPLE_CHARS = 1_000
"""Characters read from the start, and again from the end, of a prompt longer than twice this."""

_ASCII_WORDS = re.compile(r"[a-z0-9]+(?:'[a-z0-9]+)?")
"""Words of lower-case ASCII text, for which this is faster than the pattern for all scripts."""
_DIGITS = b"0123456789"
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_WIDE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\U00020000-\U0003ffff]+")


def numbers_in(text: str) -> tuple[str, ...]:
    """Return the numbers as written, with their separators: "1,000" is one number."""
    if text.isascii():
        raw = text.encode()
        if len(raw.translate(None, _DIGITS)) == len(raw):
            return ()
    return tuple(_NUMBER.findall(text))


@frozen
class PromptText:
    """A prompt as it was read.

    ``length`` is that of the prompt's core (:mod:`routing.wording`), in characters, and
    ``around`` how many characters of wording there are around it. ``sample`` is the part of the
    core that was read, ``lower`` the sample in lower case; ``words`` (lower case) and ``numbers``
    are in order; a word ends where another script begins. ``wide`` counts characters of scripts
    that write words without spaces. ``scripts`` are the scripts beyond ASCII, and ``folded`` is the
    sample in one spelling, for the terms of other languages.
    """

    length: int
    sample: str
    lower: str
    words: tuple[str, ...]
    numbers: tuple[str, ...]
    wide: int
    folded: str = ""
    scripts: frozenset[str] = frozenset()
    around: int = 0

    @classmethod
    def read(cls, prompt: str) -> PromptText:
        """Read the core of ``prompt``, or a sample of it if it is long."""
        ends = prompt
        if len(prompt) > 4 * _SAMPLE_CHARS:
            ends = f"{prompt[: 2 * _SAMPLE_CHARS]}\n{prompt[-2 * _SAMPLE_CHARS :]}"
        core = raw = core_of(ends)
        if len(core) > 2 * _SAMPLE_CHARS:
            raw = f"{core[:_SAMPLE_CHARS]}\n{core[-_SAMPLE_CHARS:]}"
        sample = evened(raw) if UNEVEN.search(raw) else raw
        length = len(prompt) - len(ends) + len(core) - len(raw) + len(sample)
        around = max(0, len(prompt) - length)
        lower, numbers = sample.lower(), numbers_in(sample)
        if sample.isascii():
            words = tuple(_ASCII_WORDS.findall(lower))
            return cls(length, sample, lower, words, numbers, 0, lower, around=around)
        return cls(
            length=length,
            sample=sample,
            lower=lower,
            words=tuple(WORDS.findall(composed(lower))),
            numbers=numbers,
            wide=sum(map(len, _WIDE.findall(sample))),
            folded=fold(lower),
            scripts=scripts_of(sample),
            around=around,
        )

    @property
    def tokens(self) -> int:
        """Estimated input tokens, at least 1: one for four characters or one wide character."""
        characters = self.length + self.around
        if not self.wide:
            return max(1, -(-characters // 4))
        wide_share = self.wide / max(1, len(self.sample))
        return max(1, math.ceil(characters * (wide_share + (1 - wide_share) / 4)))

    @property
    def core_tokens(self) -> int:
        """Estimated tokens of the core, at least 1."""
        if not self.wide:
            return max(1, -(-self.length // 4))
        wide_share = self.wide / max(1, len(self.sample))
        return max(1, math.ceil(self.length * (wide_share + (1 - wide_share) / 4)))


@dataclass(frozen=True, slots=True)
class Lexicon:
    """A group of English words and phrases that signal the same thing, and terms elsewhere.

    A word matches only a whole word: "class" is not found in "classic", and a phrase begins at
    the beginning of a word. ``terms`` are of other languages, as
    :mod:`routing.languages.vocabulary` writes them.
    """

    words: frozenset[str]
    phrases: tuple[str, ...] = ()
    terms: tuple[str, ...] = ()

    @classmethod
    def of(cls, words: str, phrases: Iterable[str] = (), terms: Iterable[str] = ()) -> Lexicon:
        """Build a lexicon; ``words`` are separated by spaces."""
        return cls(frozenset(words.split()), tuple(phrases), tuple(terms))


class Lexicons:
    """Several lexicons that are searched together, so that each word is looked up only once."""

    def __init__(self, lexicons: Mapping[str, Lexicon]) -> None:
        self._zeros = dict.fromkeys(lexicons, 0)
        self._phrases = [
            (name, phrase, re.compile(r"(?<![^\W_])" + re.escape(phrase)))
            for name, lexicon in lexicons.items()
            for phrase in lexicon.phrases
        ]
        self._of_word: dict[str, tuple[str, ...]] = {}
        for name, lexicon in lexicons.items():
            for word in lexicon.words:
                self._add(word, name)
        self._terms = Terms({name: lexicon.terms for name, lexicon in lexicons.items()})
        for word, names in self._terms.ascii.items():
            for name in names:
                self._add(word, name)

    def _add(self, word: str, name: str) -> None:
        names = self._of_word.get(word, ())
        if name not in names:
            self._of_word[word] = (*names, name)

    def count(self, text: PromptText) -> dict[str, int]:
        """Return the matches of each lexicon in ``text``; a phrase counts once."""
        counts = self._zeros.copy()
        lower = text.lower
        for names in filter(None, map(self._of_word.get, text.words)):
            for name in names:
                counts[name] += 1
        for name, phrase, pattern in self._phrases:
            if phrase in lower and pattern.search(lower):
                counts[name] += 1
        if text.scripts:
            beyond = filterfalse(self._of_word.__contains__, text.words)
            self._terms.count(beyond, text.folded, text.scripts, counts)
        return counts


class Marks:
    """Signs that are not words.

    ``literals`` are counted directly. Each pattern of ``guarded`` is searched only in a text
    that contains one of its hints; most texts contain none.
    """

    def __init__(
        self,
        literals: tuple[str, ...],
        guarded: tuple[tuple[tuple[str, ...], re.Pattern[str]], ...] = (),
    ) -> None:
        self._literals = literals
        self._plain = tuple(filter(str.isascii, literals))
        self._guarded = [(re.compile("|".join(map(re.escape, h))).search, p) for h, p in guarded]

    def count(self, text: PromptText) -> int:
        """Return the number of signs in ``text``."""
        sample, count = text.sample, 0
        for literal in self._plain if sample.isascii() else self._literals:
            if literal in sample:
                count += sample.count(literal)
        for hinted, pattern in self._guarded:
            if hinted(sample):
                count += len(pattern.findall(sample))
        return count
