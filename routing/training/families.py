"""Families of benchmarks: those that ask the same kind of question.

A predictor that is tried on a benchmark while another of its family was trained on is not tried
on something new. Benchmarks that are not named here are families of their own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from routing.outcomes import OutcomesError, RecordedPrompt

_FAMILIES = {
    "knowledge": ("mmlu",),
    "word problems": ("gsm",),
    "mathematics": ("math",),
    "code": ("mbpp", "human_eval", "humaneval"),
    "open questions": ("natural_qa", "trivia"),
    "common sense": ("openbook", "commonsense", "arc_challenge", "arc_easy"),
    "logic": ("korbench", "logicgrid"),
}
_PREFERENCES = ("alpaca_eval", "mt_bench", "arena_hard", "chatbot_arena", "wildbench")
_NAME = re.compile(r"[^a-z0-9]+")


def family_of(benchmark: str) -> str:
    """Return the family of a benchmark: the first that has a part of its name."""
    name = _plain(benchmark)
    for family, parts in _FAMILIES.items():
        if any(part in name for part in parts):
            return family
    return benchmark


def graded_by_preference(benchmark: str) -> bool:
    """Return whether a judge compared the answers with those of another model.

    Such a grade says which answer a judge likes better, and not whether it is good: weak models
    lose to the strong one on every prompt, however easy it is. It can measure a router, but what
    is learned from it is wrong for other prompts.
    """
    return any(part in _plain(benchmark) for part in _PREFERENCES)


def gradable(prompts: Sequence[RecordedPrompt]) -> list[RecordedPrompt]:
    """Return the prompts to train on: those whose answers were graded by themselves.

    Raise :class:`OutcomesError` if a judge's preference is all there is.
    """
    kept = [p for p in prompts if not graded_by_preference(p.benchmark)]
    if prompts and not kept:
        names = ", ".join(sorted({p.benchmark for p in prompts}))
        raise OutcomesError(
            f"{names}: graded by a judge's preference between two answers, which can measure a "
            "router and not train it; give answers that were graded by themselves"
        )
    return kept


def _plain(benchmark: str) -> str:
    return _NAME.sub("_", benchmark.lower())
