"""Score how hard a prompt looks, as one deterministic number.

The score in [0, 1] is a weighted sum of signals that are cheap to compute: length, the
kind of work, reasoning and constraints, code, mathematics and structure.
"""

from __future__ import annotations

import math
import re

from routing.languages.vocabulary import terms_of
from routing.models import Tier
from routing.prompt_text import Lexicon, Lexicons, Marks, PromptText
from routing.values import frozen

SIMPLE_BELOW = 0.3
MODERATE_BELOW = 0.7

# Words that signal demanding work. The terms are of other languages, so that a prompt is not
# rated simple only because it is not in English.
_DEMANDING = Lexicon.of(
    """
    analyze analyse analyzing analysis architect architecture design designing implement
    implementation implementing optimize optimise optimization refactor refactoring debug prove
    proof proving derive derivation evaluate compare comparing contrast critique synthesize
    synthesis algorithm algorithms complexity tradeoff tradeoffs strategy comprehensive detailed
    thorough thoroughly rigorous distributed concurrent concurrency scalable scalability
    architecture theorem hypothesis hypotheses simulate simulation formalize migrate migration
    diagnose negotiate forecast plan roadmap
    """,
    phrases=("trade-off", "in-depth", "in depth", "step by step", "step-by-step", "root cause"),
    terms=terms_of("plan", "compare", "prove"),
)
_REASONING = Lexicon.of(
    """
    why because therefore if then unless assume assuming suppose justify explain explaining
    implication implications consequence consequences reason infer deduce
    """,
    phrases=("given that", "por qué", "how far", "how many", "how long"),
    terms=terms_of("explain"),
)
_CONSTRAINTS = Lexicon.of(
    """
    must should without exactly ensure including require requires required support supports
    supporting handle avoid both each every constraint constraints only least most within across
    """,
    terms=terms_of("bound"),
)
_BUILD = Lexicon.of(
    """
    code function class script program query regex api endpoint database schema python javascript
    typescript java rust golang kotlin swift sql html css bash docker kubernetes
    """,
    phrases=("c++", "c#", "f#"),
    terms=terms_of("build"),
)
_MATHEMATICS = Lexicon.of(
    """
    integral derivative matrix equation equations probability eigenvalue eigenvalues polynomial
    logarithm calculate compute solve sum percent percentage ratio variance
    """,
    terms=terms_of("calculate"),
)
_LEXICONS = Lexicons(
    {
        "demanding": _DEMANDING,
        "reasoning": _REASONING,
        "constraints": _CONSTRAINTS,
        "build": _BUILD,
        "mathematics": _MATHEMATICS,
    }
)
_OF_WORK = ("demanding", "reasoning", "constraints", "mathematics")
_CODE_MARKS = Marks(
    ("```", "=>", "->", "::"),
    (
        (("{", "}", ";"), re.compile(r"[{};]$", re.MULTILINE)),
        (("</",), re.compile(r"</\w")),
        (("()",), re.compile(r"\w\(\)")),
        (
            ("def", "fn", "func", "import", "SELECT"),
            re.compile(r"\b(?:def|fn|func|import|SELECT)\s"),
        ),
    ),
)
_MATH_MARKS = Marks(
    tuple("∑∫√∂∞≤≥≠∀∃∈"),
    (
        (("\\",), re.compile(r"\\(?:frac|sum|int|sqrt|begin)\b")),
        (tuple("0123456789"), re.compile(r"\d ?[-+*/^=×÷] ?\d")),
    ),
)
_STEPS = re.compile(r"^[ \t]{0,8}(?:\d{1,3}[.)]|[-*•])[ \t]", re.MULTILINE)


# Where one of these is, the language is English; none is a word of another language's as well.
_ENGLISH = frozenset({"and", "are", "for", "how", "of", "that", "the", "this", "what", "with"})
_CLAUSE_END = re.compile(r"[.,;!…。，、；！।،؛۔።\n]+")
_QUESTION_MARKS = "?？؟՞;"
_INSTRUCTIONS_FROM_TOKENS = 25


_PARTS = (
    # The part, its weight, and the number of its signs that gives half the weight.
    ("demanding_work", 0.60, 1.3),
    ("reasoning", 0.12, 1.5),
    ("constraints", 0.22, 2.5),
    ("code", 0.26, 1.5),
    ("mathematics", 0.22, 2.0),
    ("structure", 0.14, 3.0),
)


@frozen
class ComplexityScore:
    """The score in [0, 1], its tier and the prompt's tokens.

    ``length`` is the part for the length; ``signs`` are the numbers of signs for the other parts.
    """

    score: float
    tier: Tier
    token_count: int
    length: float
    signs: tuple[float, ...]

    @property
    def exact_parts(self) -> dict[str, float]:
        """The exact parts that add up to the score."""
        parts = {"length": self.length}
        for (name, weight, half), count in zip(_PARTS, self.signs, strict=True):
            parts[name] = weight * (count / (count + half))
        return parts

    @property
    def parts(self) -> dict[str, float]:
        """The parts to four places."""
        return {name: round(value, 4) for name, value in self.exact_parts.items()}


def tier_of(score: float) -> Tier:
    """Return the tier of a score: simple below 0.3, moderate below 0.7, else complex."""
    if score < SIMPLE_BELOW:
        return "simple"
    return "moderate" if score < MODERATE_BELOW else "complex"


def _unknown_instructions(text: PromptText) -> float:
    """Return the demanding words that a text of an unknown language is assumed to hold, 0-1.6.

    Demanding prompts tell several things to do: they have clauses, and ask no question.
    """
    beyond_ascii = len(text.words) - sum(map(str.isascii, text.words))
    known = beyond_ascii < max(3, len(text.words) / 12) or not _ENGLISH.isdisjoint(text.words)
    asks = any(mark in text.sample for mark in _QUESTION_MARKS)
    if known or asks or text.core_tokens < _INSTRUCTIONS_FROM_TOKENS:
        return 0
    clauses = sum(len(clause) > 2 for clause in _CLAUSE_END.split(text.sample))
    return min(1.6, 0.4 * max(0, clauses - 2))


def _knows_language(text: PromptText, build: float) -> bool:
    """Return whether some of the words for code are of a language of the vocabulary."""
    return build > sum(word in _BUILD.words for word in text.words)


def score_complexity(prompt: str | PromptText) -> ComplexityScore:
    """Return how demanding ``prompt`` is.

    The score is deterministic and never leaves [0, 1]. It works for any language and any
    length, from empty to megabytes, and takes well under a millisecond.
    """
    text = prompt if isinstance(prompt, PromptText) else PromptText.read(prompt)
    tokens = text.core_tokens
    sample = text.sample
    counts: dict[str, float] = _LEXICONS.count(text)  # type: ignore[assignment]
    unseen = not sample.isascii() and not any(counts[name] for name in _OF_WORK)
    if unseen and not _knows_language(text, counts["build"]):
        counts["demanding"] = _unknown_instructions(text)
    numbers = min(6, len(text.numbers))
    # A single line is searched at its beginning alone.
    steps = len(_STEPS.findall(sample)) if "\n" in sample else bool(_STEPS.match(sample))
    questions = max(0, sample.count("?") + sample.count("？") - 1)
    # Length on a log scale: 0 at 12 tokens, the full weight at 2000.
    length = 0.35 * min(1.0, max(0.0, math.log(tokens / 12) / math.log(2000 / 12)))
    code, marks = _CODE_MARKS.count(text), _MATH_MARKS.count(text)
    signs = (
        counts["demanding"],
        counts["reasoning"],
        counts["constraints"],
        counts["build"] + code / 2,
        counts["mathematics"] + marks + numbers / 3,
        steps + questions,
    )
    # Saturating: the tenth sign adds less than the first.
    total = length
    for (_, weight, half), count in zip(_PARTS, signs, strict=True):
        if count:
            total += weight * (count / (count + half))
    score = round(min(1.0, total), 4)
    return ComplexityScore(score, tier_of(score), text.tokens, length, signs)
