"""Features of a prompt: structure that separates hard from easy prompts on any subject.

Words tell what a prompt is about and help only on subjects seen in training. Its
structure (length, quantities, negation, how similar the options are) carries over
to prompts of another kind. So each is given to its own learner: see ``training``.
"""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from routing.prompt_text import Lexicon, Lexicons, PromptText, numbers_in

BUCKET_BITS = 16
"""Words and word pairs are hashed into 2**16 buckets, so no prompt's text is in an artifact."""

_BUCKETS = 1 << BUCKET_BITS
_PAIR_CODE, _CODE_MASK = 0x9E3779B1, 0xFFFFFFFF
_PAIR = np.uint32(_PAIR_CODE)
_FEW_WORDS = 40
_OPTION = re.compile(r"^\(?[A-Ja-j][.):] ?(.*)$", re.MULTILINE)
_DIGIT = re.compile(r"\d")
_NAME = re.compile(r"(?<=[a-z,;] )[A-Z][a-z]+")
_UPPER = bytes(range(65, 91))
_DIGITS = b"0123456789"
_LETTERS_AND_SPACE = _UPPER + bytes(range(97, 123)) + b" \n\t" + _DIGITS
_BEYOND_ASCII = bytes(range(128, 256))
_ROMAN = ("ii", "iii", "iv")
_SYMBOLS = b"=+*/^<>|"
_LONG_WORD = 8
_SHORT_WORD = 3
_OPTIONS_READ = 10

_WORDS = {
    "comparison": "more less than greater fewer higher lower larger smaller least most best worst "
    "better",
    "condition": "if then when suppose assume given unless whether would could should might may "
    "must",
    "negation": "not no never none neither nor except without cannot false incorrect wrong isn't "
    "doesn't don't can't won't",
    "share": "each every per all both total altogether remaining left rest half third quarter "
    "twice double triple times",
    "quantity": "one two three four five six seven eight nine ten dozen hundred thousand first "
    "second",
    "time": "day days week weeks month months year years hour hours minute minutes morning today "
    "yesterday old ago later before after",
    "person": "he she his her him they them their who whom person man woman people i my you your "
    "we our me",
    "past": "was were had did been said went made took gave became",
    "cause": "why because since therefore thus hence reason cause caused due result",
    "question": "which what where how following",
    "hedge": "likely probably usually generally often sometimes primarily mainly typically "
    "according",
    "calculation": "calculate compute find determine value equal equals sum product number "
    "average mean probability rate percent ratio area volume speed distance cost price",
    "code": "code function class array string loop python java javascript algorithm program sql "
    "html return variable list",
    "writing": "write story poem essay blog email letter describe imagine character compose "
    "draft rewrite edit article",
}
_LEXICONS = Lexicons({name: Lexicon.of(words) for name, words in _WORDS.items()})

NAMES: tuple[str, ...] = (
    *(["characters", "words", "distinct_share", "stem_characters", "lines", "sentences"]),
    *(["longest_sentence", "mean_sentence", "last_sentence"]),
    *(["mean_word", "long_words", "short_words", "longest_word"]),
    *(["upper_share", "digit_share", "punctuation_share", "beyond_ascii", "symbols"]),
    *(
        [
            "questions",
            "blanks",
            "commas",
            "colons",
            "parentheses",
            "quotes",
            "dollars",
            "percents",
            "hyphens",
        ]
    ),
    *(["names_of", "roman", "statements"]),
    *(["numbers", "stem_numbers", "distinct_numbers", "largest_number", "decimals"]),
    *(["ends_asking", "ends_colon", "opens_which", "opens_what"]),
    *(["options", "option_mean", "option_spread", "option_longest", "option_last", "option_words"]),
    *(["option_numeric", "option_capital", "option_sentence", "option_overlap", "option_alike"]),
    "of_the_above",
    *(f"lexicon_{name}" for name in _WORDS),
    *(f"share_{name}" for name in _WORDS),
)
"""The features in their order; ``structure`` gives one value for each."""


def structure(text: PromptText) -> NDArray[np.float64]:
    """Return the structural features of ``text``, shape ``(len(NAMES),)``, all finite.

    Counts are on a log scale, shares 0-1. Deterministic.
    """
    options = _OPTION.findall(text.sample)[:_OPTIONS_READ] if "\n" in text.sample else []
    stem = text.sample
    if len(options) > 1:
        first = _OPTION.search(text.sample)
        stem = text.sample[: first.start()] if first and first.start() else text.sample
    return np.array(
        [
            *_size(text, stem),
            *_characters(text),
            *_numbers(text, stem),
            *_asking(stem),
            *_options(options, stem),
            "of the above" in text.lower,
            *_lexicons(text),
        ],
        dtype=np.float64,
    )


def _size(text: PromptText, stem: str) -> tuple[float, ...]:
    words = text.words
    lengths = list(map(len, words)) or [0]
    count = len(lengths)
    marked = stem.replace("\n", ". ").replace("? ", ". ").replace("! ", ". ")
    sentences = [part.count(" ") + 1 for part in marked.split(". ") if part] or [0]
    return (
        math.log1p(text.length),
        math.log1p(len(words)),
        len(set(words)) / count,
        math.log1p(text.length - len(text.sample) + len(stem)),
        math.log1p(text.sample.count("\n")),
        math.log1p(len(sentences)),
        math.log1p(max(sentences)),
        math.log1p(sum(sentences) / len(sentences)),
        math.log1p(sentences[-1]),
        sum(lengths) / count,
        sum(map(_LONG_WORD.__lt__, lengths)) / count,
        sum(map(_SHORT_WORD.__ge__, lengths)) / count,
        max(lengths),
    )


def _characters(text: PromptText) -> tuple[float, ...]:
    raw = text.sample.encode("utf-8", "replace")
    size = max(1, len(raw))
    count = text.sample.count

    def share(characters: bytes) -> float:
        return (len(raw) - len(raw.translate(None, characters))) / size

    return (
        share(_UPPER),
        share(_DIGITS),
        1 - share(_LETTERS_AND_SPACE + _BEYOND_ASCII),
        share(_BEYOND_ASCII),
        math.log1p(size * share(_SYMBOLS)),
        math.log1p(count("?")),
        math.log1p(count("__")),
        math.log1p(count(",")),
        math.log1p(count(":")),
        math.log1p(count("(")),
        math.log1p(count('"') + count("“")),
        math.log1p(count("$")),
        math.log1p(count("%")),
        math.log1p(count("-")),
        math.log1p(len(_NAME.findall(text.sample))),
        math.log1p(sum(map(text.words.count, _ROMAN))),
        math.log1p(text.lower.count("statement")),
    )


def _numbers(text: PromptText, stem: str) -> tuple[float, ...]:
    numbers = text.numbers
    in_stem = numbers if stem is text.sample else numbers_in(stem)
    return (
        math.log1p(len(numbers)),
        math.log1p(len(in_stem)),
        math.log1p(len(set(in_stem))),
        max((len(number) for number in in_stem), default=0),
        math.log1p(sum("." in number for number in in_stem)),
    )


def _asking(stem: str) -> tuple[float, ...]:
    opening, ending = stem[:12].lower(), stem.rstrip()[-1:]
    return (ending == "?", ending == ":", opening.startswith("which"), opening.startswith("what"))


def _options(options: list[str], stem: str) -> tuple[float, ...]:
    count = len(options)
    if count < 2:
        return (count, *([0.0] * 10))
    sizes = [len(option) for option in options]
    mean = sum(sizes) / count
    spread = math.sqrt(sum([(size - mean) ** 2 for size in sizes]) / count)
    words = [set(option.lower().split()) for option in options]
    stem_words = set(stem.lower().split())
    shared = sum([len(w & stem_words) / (len(w) or 1) for w in words]) / count
    alike = [len(a & b) / (len(a | b) or 1) for a, b in pairwise(words)]
    return (
        count,
        math.log1p(mean),
        math.log1p(spread),
        max(sizes) / max(1.0, mean),
        sizes[-1] / max(1.0, mean),
        sum(map(len, words)) / count,
        sum([_DIGIT.search(option, 0, 12) is not None for option in options]) / count,
        sum([option[:1].isupper() for option in options]) / count,
        sum([option.rstrip()[-1:] == "." for option in options]) / count,
        shared,
        sum(alike) / len(alike),
    )


def _lexicons(text: PromptText) -> list[float]:
    counts = _LEXICONS.count(text).values()
    words = max(1, len(text.words))
    return [*map(math.log1p, counts), *[n / words for n in counts]]


def _terms_of_few(words: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return what :func:`terms` does: each call of numpy takes as long as a few words here."""
    counts: dict[int, int] = {}
    before = None
    for code in map(_hash, words):
        if before is not None:
            pair = ((before * _PAIR_CODE) & _CODE_MASK) ^ code
            bucket = (pair ^ pair >> BUCKET_BITS) & (_BUCKETS - 1)
            counts[bucket] = counts.get(bucket, 0) + 1
        bucket = (code ^ code >> BUCKET_BITS) & (_BUCKETS - 1)
        counts[bucket] = counts.get(bucket, 0) + 1
        before = code
    buckets = sorted(counts)
    return np.array(buckets, np.int64), np.array([counts[n] for n in buckets], np.float64)


@lru_cache(maxsize=50_000)
def _hash(word: str) -> int:
    return zlib.crc32(word.encode("utf-8", "replace"))


def terms(text: PromptText) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the buckets of the prompt's words and word pairs, ascending, and their counts."""
    if len(text.words) <= _FEW_WORDS:
        return _terms_of_few(text.words)
    words = np.fromiter(map(_hash, text.words), dtype=np.uint32, count=len(text.words))
    pairs = (words[:-1] * _PAIR) ^ words[1:]
    mixed = np.concatenate((words, pairs))
    mixed ^= mixed >> np.uint32(BUCKET_BITS)
    mixed &= np.uint32(_BUCKETS - 1)
    mixed.sort()
    # The same as np.unique, without the cost of its many options.
    new = np.ones(len(mixed) + 1, dtype=bool)
    np.not_equal(mixed[1:], mixed[:-1], out=new[1:-1])
    starts = new.nonzero()[0]
    return mixed[starts[:-1]].astype(np.int64), np.diff(starts).astype(np.float64)
