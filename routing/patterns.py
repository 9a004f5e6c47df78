"""The pattern of a prompt: code, analysis, creative, explanation, factual, reasoning or general.

Outcomes are stored by pattern. A pattern is a group of prompts on which a model's quality
tends to be similar; it makes no claim about the meaning of a prompt.
"""

from __future__ import annotations

import re

from routing.languages.vocabulary import terms_of
from routing.prompt_text import Lexicon, Lexicons, Marks, PromptText

PATTERNS: tuple[str, ...] = (
    "code",
    "reasoning",
    "analysis",
    "creative",
    "explanation",
    "factual",
    "general",
)
"""In order of precedence: of equal weights the earlier pattern wins."""

_LEXICONS: dict[str, tuple[float, Lexicon]] = {
    "code": (
        2.0,
        Lexicon.of(
            """
            code function python javascript typescript java rust golang kotlin sql regex html css
            bash refactor debug compile compiler django flask react endpoint unittest pytest
            stacktrace
            """,
            phrases=("unit test", "stack trace", "c++", "c#"),
            terms=terms_of("build"),
        ),
    ),
    "reasoning": (
        2.0,
        Lexicon.of(
            """
            prove proof derive solve deduce infer logic logical puzzle riddle probability calculate
            compute theorem
            """,
            phrases=(
                "how many",
                "how much",
                "how far",
                "how long",
                "step by step",
                "what is the value",
            ),
            terms=terms_of("prove", "calculate"),
        ),
    ),
    "analysis": (
        2.0,
        Lexicon.of(
            """
            analyze analyse analysis analyzing compare comparing comparison contrast evaluate
            evaluation assess assessment critique review summarize summarise summary versus vs
            tradeoff tradeoffs
            """,
            phrases=("pros and cons", "trade-off", "advantages and disadvantages"),
            terms=terms_of("compare"),
        ),
    ),
    "creative": (
        2.0,
        Lexicon.of(
            """
            poem haiku story stories song lyrics novel fiction joke slogan limerick imagine
            brainstorm roleplay screenplay tagline sonnet fable
            """,
            terms=terms_of("story"),
        ),
    ),
    "explanation": (
        1.5,
        Lexicon.of(
            """
            explain explains why describe teach tutorial
            """,
            phrases=(
                "how do ",
                "how does ",
                "how can ",
                "how is ",
                "how are ",
                "how to ",
                "walk me through",
                "difference between",
                "por qué",
            ),
            terms=terms_of("explain"),
        ),
    ),
    "factual": (
        0.5,
        Lexicon.of(
            "capital population definition year born located invented founded author",
            terms=("首都", "人口", "どこ", "いつ", "누구*"),
        ),
    ),
}
_WORDS = Lexicons({pattern: lexicon for pattern, (_, lexicon) in _LEXICONS.items()})
_WEIGHTS = [(pattern, weight) for pattern, (weight, _) in _LEXICONS.items()]
_QUESTION_OPENERS = frozenset(
    [
        "what",
        "who",
        "when",
        "where",
        "which",
        "whose",
        "is",
        "are",
        "was",
        "were",
        "did",
        "does",
        "has",
        "name",
        "define",
        "list",
        "qué",
        "quién",
        "cuándo",
        "dónde",
        "cuál",
        "quel",
        "quelle",
        "qui",
        "quand",
        "où",
        "wer",
        "wann",
        "wo",
        "was",
        "welche",
        "welcher",
        "chi",
        "quando",
        "dove",
        "quale",
        "кто",
        "когда",
        "где",
        "что",
    ]
)
_CODE_MARKS = Marks(
    ("```", "=>"),
    (
        (("{", "}", ";"), re.compile(r"[{};]$", re.MULTILINE)),
        (("()",), re.compile(r"\w\(\)")),
        (
            ("def", "class", "import", "from", "#include", "fn", "func"),
            re.compile(r"^(?:def|class|import|from|#include|fn|func)\s", re.MULTILINE),
        ),
    ),
)
_ARITHMETIC = re.compile(r"\d ?[-+*/×÷=^%] ?\d")


class QueryPatternAnalyzer:
    """Finds the pattern of a prompt from weighted lexical signals."""

    patterns = PATTERNS

    def analyze(self, prompt: str | PromptText) -> str:
        """Return one of :data:`PATTERNS`, "general" without any signal. It is deterministic."""
        text = prompt if isinstance(prompt, PromptText) else PromptText.read(prompt)
        best, best_weight = "general", 0.0
        counts, marks = _WORDS.count(text), self._marks(text)
        for pattern, weight in _WEIGHTS:
            count = counts[pattern]
            if not count and pattern not in marks:
                continue
            total = weight * min(3, count) + marks.get(pattern, 0.0)
            if total > best_weight:
                best, best_weight = pattern, total
        return best

    @staticmethod
    def _marks(text: PromptText) -> dict[str, float]:
        """Return the weight of other signals: code punctuation, arithmetic, a question word."""
        marks = {"code": min(3.0, 1.5 * _CODE_MARKS.count(text))}
        if text.numbers:
            groups = sum(1 + n.count(".") + n.count(",") for n in text.numbers[:3])
            marks["reasoning"] = 1.0 if groups >= 3 else 0.0
            if _ARITHMETIC.search(text.sample):
                marks["reasoning"] += 1.5
        if text.words and text.words[0] in _QUESTION_OPENERS:
            marks["factual"] = 1.0
        return marks
