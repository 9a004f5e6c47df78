"""Reads a prompt or a conversation once, for everything that decides on it.

The last turn of a conversation names the kind of work. What makes it harder than it
looks on its own is counted too: the system prompt's demands, tools to choose from, a
long past to keep in mind, and, where the turn is only "go on" or "and in Rust?", the
turn that it continues.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from routing.complexity import score_complexity, tier_of
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


# A turn this short says little by itself.
_FOLLOW_UP_TOKENS = 12
_FOLLOW_UP_SHARE = 0.85
_SYSTEM_SHARE = 0.3
_TOOLS_MOST = 0.25
_LONG_FROM, _LONG_FULL, _LONG_MOST = 2_000, 64_000, 0.25


def analyze_conversation(
    turns: Sequence[str], *, system: str = "", tools: int = 0, tokens: int | None = None
) -> PromptAnalysis:
    """Analyse a conversation by its users' ``turns``, oldest first.

    ``tools`` is how many are offered, ``tokens`` the estimated input of the
    whole request. A single turn with neither system prompt nor tools is
    exactly :func:`routing.analysis.analyze_prompt` of it. Each burden *b* adds
    to the score *s* as 1 - (1 - s)(1 - b), so that it never leaves [0, 1].
    """
    prompt = turns[-1] if turns else ""
    found = analyze_prompt(prompt)
    if tokens is None:
        tokens = found.token_count
    score = found.complexity
    if len(turns) > 1 and found.token_count <= _FOLLOW_UP_TOKENS:
        before = _gone_on_from(turns[:-1])
        if before.complexity * _FOLLOW_UP_SHARE > score:
            found, score = before, before.complexity * _FOLLOW_UP_SHARE
    if system:
        score = _burdened(score, _SYSTEM_SHARE * score_complexity(system).score)
    if tools:
        score = _burdened(score, _TOOLS_MOST * tools / (tools + 4))
    if len(turns) > 1 and tokens > _LONG_FROM:
        length = math.log(tokens / _LONG_FROM) / math.log(_LONG_FULL / _LONG_FROM)
        score = _burdened(score, _LONG_MOST * min(1.0, length))
    score = round(score, 4)
    return replace(found, complexity=score, tier=tier_of(score), token_count=tokens)


def _gone_on_from(turns: Sequence[str]) -> PromptAnalysis:
    """The latest turn that says enough by itself, else the first."""
    for turn in reversed(turns):
        analysis = analyze_prompt(turn)
        if analysis.token_count > _FOLLOW_UP_TOKENS:
            return analysis
    return analyze_prompt(turns[0])


def _burdened(score: float, burden: float) -> float:
    return 1 - (1 - score) * (1 - burden)
