"""A prompt read once: the bounded sample and its words, shared by every analysis.

Reading a bounded sample keeps the cost of a 1 MB prompt that of a page of
text, and looking words up in sets keeps it linear whatever the text is made of.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

_SAMPLE_CHARS = 1_000
"""Read from the head and again from the tail of a prompt longer than twice this."""

_WORDS = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")
_WIDE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")


@dataclass(frozen=True, slots=True)
class PromptText:
    """``sample`` as written, ``lower`` folded, ``words`` lower-case in order.

    ``wide`` counts characters of scripts that write words without spaces.
    """

    length: int
    sample: str
    lower: str
    words: tuple[str, ...]
    wide: int

    @classmethod
    def read(cls, prompt: str) -> PromptText:
        sample = prompt
        if len(prompt) > 2 * _SAMPLE_CHARS:
            sample = f"{prompt[:_SAMPLE_CHARS]}\n{prompt[-_SAMPLE_CHARS:]}"
        lower = sample.lower()
        return cls(
            length=len(prompt),
            sample=sample,
            lower=lower,
            words=tuple(_WORDS.findall(lower)),
            wide=0 if sample.isascii() else len(_WIDE.findall(sample)),
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

    def count(self, text: PromptText) -> int:
        """How often the lexicon speaks in ``text``; each phrase and wide term counts once."""
        found = sum(1 for word in text.words if word in self.words)
        for phrase in self.phrases:
            if phrase in text.lower:
                found += 1
        if text.wide:
            found += sum(1 for term in self.wide if term in text.sample)
        return found
