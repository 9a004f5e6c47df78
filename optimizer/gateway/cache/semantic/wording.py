"""Checks whether two questions in different words may have the same answer.

Sentence embeddings place "10 miles in kilometres" near "10 kilometres in miles", and "enable"
near "disable". So likeness alone never makes a hit: every word that carries meaning must have
a counterpart in the other question, and both must have the same numbers, negations, directions
and question words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import zip_longest

Alike = Callable[[str, str], float]
"""Returns how similar two words are: the cosine of their embeddings, -1 to 1."""

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*|%|[^\w\s.,;:!?'\"“”‘’()-]")
_NUMBER = re.compile(r"\d")
# Words that may differ: they do not change what a question is about.
_LITTLE = frozenset(
    """a an the is are was were be been being am do does did have has had i me my we our you your
    it its this that these those there here of in on at for with by as and if then so about up can
    could would should will shall may might must please tell give show name list what which how much
    thing things get got let us just one ones need want like mean means""".split()  # noqa: SIM905
)
_NEGATIONS = frozenset(
    """no not never without nor neither cannot except none don't doesn't didn't won't can't isn't
    aren't wasn't weren't shouldn't couldn't wouldn't""".split()  # noqa: SIM905
)
_DIRECTIONS = frozenset({"to", "into", "from"})
# Small words that reverse a question's meaning.
_BOUNDS = frozenset(
    """before after over under above below within without than until since""".split()  # noqa: SIM905
)
# The kind of answer that each question word asks for.
_ASKED = {
    "why": "cause", "when": "time", "who": "person", "whom": "person", "whose": "person",
    "where": "place", "many": "count",
}  # fmt: skip
_ENDINGS = ("ing", "ied", "ies", "ed", "es", "s", "ly")


@dataclass(frozen=True, slots=True)
class Wording:
    """The parts of a question that decide its answer.

    ``words`` are its meaningful words in order. ``numbers`` are pairs of a number and the stem
    of the next word. ``asked`` are the kinds of answer that its question words ask for.
    """

    words: tuple[str, ...]
    stems: frozenset[str]
    numbers: frozenset[tuple[str, str]]
    negated: bool
    bounds: frozenset[str]
    directed: bool
    asked: frozenset[str]


@lru_cache(maxsize=4096)
def wording_of(text: str) -> Wording:
    """Return the parts of the question ``text`` that decide its answer."""
    plain = [_plain(word) for word in _WORD.findall(text.lower())]
    ignored = _LITTLE | _ASKED.keys() | _DIRECTIONS | _BOUNDS
    words = tuple(word for word in plain if word not in ignored)
    return Wording(
        words=words,
        stems=frozenset(map(_stem, words)),
        numbers=frozenset(_with_next(words)),
        negated=not _NEGATIONS.isdisjoint(plain),
        bounds=_BOUNDS.intersection(plain),
        directed=not (_DIRECTIONS | _BOUNDS).isdisjoint(plain),
        asked=frozenset(_ASKED[w] for w in plain if w in _ASKED),
    )


def _plain(word: str) -> str:
    word = word.replace("’", "'")
    if word == "%":
        return "percent"
    return word[:-2] if word.endswith("'s") else word


def _stem(word: str) -> str:
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word[: -len(ending)]
            break
    return word[:-1] if len(word) > 4 and word.endswith("e") else word


def _with_next(words: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Yield each number with the stem of the word after it, which is usually its unit."""
    for word, following in zip_longest(words, words[1:], fillvalue=""):
        if _NUMBER.search(word):
            yield word, _stem(following)


def may_share_answer(one: Wording, other: Wording, alike: Alike, least: float) -> bool:
    """Return whether both questions may have the same answer.

    ``least`` is the least likeness of a word and its counterpart.
    """
    if one.numbers != other.numbers or one.negated != other.negated or one.bounds != other.bounds:
        return False
    if one.asked != other.asked and one.asked and other.asked:
        return False
    if one.directed or other.directed:
        # "From A to B" and "from B to A" have the same words.
        shared = one.stems & other.stems
        if _order(one, shared) != _order(other, shared):
            return False
    return _has_counterparts(one, other, alike, least) and _has_counterparts(
        other, one, alike, least
    )


def _order(wording: Wording, shared: frozenset[str]) -> list[str]:
    return [stem for stem in map(_stem, wording.words) if stem in shared]


def _has_counterparts(one: Wording, other: Wording, alike: Alike, least: float) -> bool:
    return all(
        _stem(word) in other.stems
        or any(alike(word, counterpart) >= least for counterpart in other.words)
        for word in one.words
    )
