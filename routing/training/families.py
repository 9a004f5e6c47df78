"""Families of benchmarks: those that ask the same kind of question.

A predictor that is tried on a benchmark while another of its family was trained on is not tried
on something new. Benchmarks that are not named here are families of their own.
"""

from __future__ import annotations

import re

_FAMILIES = {
    "knowledge": ("mmlu",),
    "word problems": ("gsm",),
    "mathematics": ("math",),
    "code": ("mbpp", "human_eval", "humaneval"),
    "open questions": ("natural_qa", "trivia"),
    "common sense": ("openbook", "commonsense", "arc_challenge", "arc_easy"),
    "logic": ("korbench", "logicgrid"),
}
_NAME = re.compile(r"[^a-z0-9]+")


def family_of(benchmark: str) -> str:
    """Return the family of a benchmark: the first that has a part of its name."""
    name = _NAME.sub("_", benchmark.lower())
    for family, parts in _FAMILIES.items():
        if any(part in name for part in parts):
            return family
    return benchmark
