"""Analyze a prompt or a conversation once, for every strategy.

The last turn of a conversation shows the kind of work. The score also includes what makes
it harder than it looks by itself: the demands of the system prompt, the tools to choose
from, the length of the conversation, and, if the turn is only "go on" or "and in Rust?",
the turn that it continues.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from routing.complexity import score_complexity, tier_of
from routing.models import PromptAnalysis
from routing.patterns import QueryPatternAnalyzer
from routing.prompt_text import PromptText

_PATTERNS = QueryPatternAnalyzer()


# A turn of at most this many tokens may only continue an earlier one.
_FOLLOW_UP_TOKENS = 12
_FOLLOW_UP_SHARE = 0.85
_SYSTEM_SHARE = 0.3
_TOOLS_MOST = 0.25
_LONG_FROM, _LONG_FULL, _LONG_MOST = 2_000, 64_000, 0.25


def analyze_prompt(prompt: str) -> PromptAnalysis:
    """Return the pattern, complexity, tier and estimated input tokens of ``prompt``."""
    text = PromptText.read(prompt)
    scored = score_complexity(text)
    return PromptAnalysis(
        pattern=_PATTERNS.analyze(text),
        complexity=scored.score,
        tier=scored.tier,
        token_count=scored.token_count,
        text=text,
    )


def analyze_conversation(
    turns: Sequence[str], *, system: str = "", tools: int = 0, tokens: int | None = None
) -> PromptAnalysis:
    """Return the analysis of a conversation from its users' ``turns``, oldest first.

    ``tools`` is the number of tools offered, ``tokens`` the estimated input of the whole
    request. For a single turn without system prompt and tools, the result is that of
    :func:`routing.analysis.analyze_prompt`. Each burden *b* raises the score *s* to
    1 - (1 - s)(1 - b), so that it never leaves [0, 1].
    """
    prompt = turns[-1] if turns else ""
    analysis = analyze_prompt(prompt)
    if tokens is None:
        tokens = analysis.token_count
    score = analysis.complexity
    if len(turns) > 1 and analysis.token_count <= _FOLLOW_UP_TOKENS:
        continued = _continued_turn(turns[:-1])
        if continued.complexity * _FOLLOW_UP_SHARE > score:
            analysis, score = continued, continued.complexity * _FOLLOW_UP_SHARE
    if system:
        score = _add_burden(score, _SYSTEM_SHARE * score_complexity(system).score)
    if tools:
        score = _add_burden(score, _TOOLS_MOST * tools / (tools + 4))
    if len(turns) > 1 and tokens > _LONG_FROM:
        length = math.log(tokens / _LONG_FROM) / math.log(_LONG_FULL / _LONG_FROM)
        score = _add_burden(score, _LONG_MOST * min(1.0, length))
    score = round(score, 4)
    return replace(analysis, complexity=score, tier=tier_of(score), token_count=tokens)


def _continued_turn(turns: Sequence[str]) -> PromptAnalysis:
    """Return the analysis of the latest turn that is long enough, else of the first turn."""
    for turn in reversed(turns):
        analysis = analyze_prompt(turn)
        if analysis.token_count > _FOLLOW_UP_TOKENS:
            return analysis
    return analyze_prompt(turns[0])


def _add_burden(score: float, burden: float) -> float:
    return 1 - (1 - score) * (1 - burden)
