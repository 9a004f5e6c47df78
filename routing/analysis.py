"""A prompt read once for everything that decides on it."""

from __future__ import annotations

from routing.complexity import score_complexity
from routing.models import PromptAnalysis
from routing.patterns import QueryPatternAnalyzer
from routing.text import PromptText

_PATTERNS = QueryPatternAnalyzer()


def analyze_prompt(prompt: str) -> PromptAnalysis:
    """Pattern, complexity, tier and estimated input tokens of ``prompt``."""
    text = PromptText.read(prompt)
    scored = score_complexity(text)
    return PromptAnalysis(
        pattern=_PATTERNS.analyze(text),
        complexity=scored.score,
        tier=scored.tier,
        token_count=scored.token_count,
        text=text,
    )
