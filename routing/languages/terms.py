"""Search the words of other languages in a text, each in the way of its script."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

from routing.languages.scripts import PREFIXES, UNSPACED, fold, scripts_of, without_accents
from routing.languages.vocabulary import NO_WORK, terms_of

_KEY = 2
"""Stems are matched by their first letters; no stem is shorter."""
_SAFE_LENGTH = 5
"""A word of at least this many letters is no other word without its accents."""
_MOST_PREFIXES = 3
_LONGEST = 32
_KATAKANA = "[ァ-ヺー]"


class Terms:
    """The terms of several lexicons, by name, as :mod:`routing.languages.vocabulary` writes them.

    Words of languages with spaces are looked up one by one: whole, or by their first letters.
    Phrases, and the words of languages without spaces, are searched in the text.
    """

    def __init__(self, terms: Mapping[str, Iterable[str]]) -> None:
        self.ascii: dict[str, tuple[str, ...]] = {}
        self._of_word: dict[str, tuple[str, ...]] = {}
        self._of_stem: dict[str, list[tuple[str, str]]] = {}
        searched: dict[str, dict[str, str]] = {}
        for name, matched in (*terms.items(), (NO_WORK, terms_of(NO_WORK))):
            for term in matched:
                script = next(iter(scripts_of(term)), "latin")
                if script in UNSPACED or "_" in term:
                    folded = fold(term.rstrip("*")).replace("_", " ")
                    searched.setdefault(script, {}).setdefault(folded, name)
                else:
                    self._add_word(term, name)
        self._names_of = lru_cache(maxsize=20_000)(self._find)
        self._searched = {
            script: (_pattern(script, names), names) for script, names in searched.items()
        }

    def _add_word(self, term: str, name: str) -> None:
        stem = fold(term.rstrip("*"))
        plain = without_accents(stem) if len(stem) >= _SAFE_LENGTH else stem
        for word in {stem, plain}:
            names = tuple(dict.fromkeys((*self._of_word.get(word, ()), name)))
            self._of_word[word] = names
            if word.isascii():
                self.ascii[word] = names
        if term.endswith("*"):
            self._of_stem.setdefault(stem[:_KEY], []).append((stem, name))

    def count(
        self, words: Iterable[str], folded: str, scripts: frozenset[str], counts: dict[str, int]
    ) -> None:
        """Add the matches beyond :attr:`ascii` to ``counts``."""
        prefixes = "".join(PREFIXES.get(script, "") for script in scripts)
        # "l'algorithme" and "Python'da" are two words each.
        parts = fold(" ".join(words)).replace("'", " ").split(" ")
        for part in parts:
            for name in self._names_of(part[:_LONGEST], prefixes):
                if name in counts:
                    counts[name] += 1
        for script in scripts & self._searched.keys():
            pattern, names = self._searched[script]
            for term in pattern.findall(folded):
                if (name := names[term]) in counts:
                    counts[name] += 1

    def _find(self, word: str, prefixes: str) -> tuple[str, ...]:
        """Return the lexicons of ``word``: as it is, or without letters that precede words."""
        for start in range(_MOST_PREFIXES + 1):
            if names := self._of_word.get(word[start:]):
                return names
            stems = self._of_stem.get(word[start : start + _KEY], ())
            if matched := {name for stem, name in stems if word.startswith(stem, start)}:
                return tuple(matched)
            if not prefixes or word[start : start + 1] not in prefixes:
                break
        return ()


def _pattern(script: str, terms: Iterable[str]) -> re.Pattern[str]:
    """Return a pattern of ``terms``, which are matched longest first.

    A term in katakana begins where the katakana begins: no コード (code) in レコード (record).
    """
    matched = "|".join(re.escape(term) for term in sorted(terms, key=len, reverse=True))
    if script in UNSPACED - {"kana"}:
        return re.compile(matched)
    before = f"(?<!{_KATAKANA})" if script == "kana" else r"(?<![^\W_])"
    return re.compile(f"{before}(?:{matched})")
