"""Scores to compare: the higher, the more a prompt needs the strong model.

The score is apart from the policy that turns it into a decision.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from routing.analysis import analyze_prompt
from routing.complexity import score_complexity
from routing.evaluation.outcomes import RecordedPrompt
from routing.learning.posterior import estimate_quality
from routing.models import Evidence, EvidenceKey, ModelOption, PromptAnalysis


@dataclass(frozen=True, slots=True)
class Comparison:
    """What is scored: prompts, the two models, and how what is trained is cross-validated."""

    prompts: Sequence[RecordedPrompt]
    weak: str
    strong: str
    folds: int = 5
    seed: int = 0


Scorer = Callable[[Comparison], list[float]]
"""One score a prompt, in the order of the prompts."""


def score_randomly(task: Comparison) -> list[float]:
    """The floor: a router that knows nothing."""
    draw = random.Random(task.seed)  # noqa: S311 - a baseline, no secret
    return [draw.random() for _ in task.prompts]


def score_by_length(task: Comparison) -> list[float]:
    """Longer prompts to the strong model."""
    return [float(len(p.prompt)) for p in task.prompts]


def score_by_complexity(task: Comparison) -> list[float]:
    """The default strategy's own score."""
    return [score_complexity(p.prompt).score for p in task.prompts]


def score_by_learning(task: Comparison) -> list[float]:
    """What outcomes taught about the pattern and tier, from the other folds' prompts only."""
    kinds = [analyze_prompt(p.prompt) for p in task.prompts]
    fold_of = [position % task.folds for position in range(len(task.prompts))]
    random.Random(task.seed).shuffle(fold_of)  # noqa: S311 - a split, no secret
    scores = [0.0] * len(task.prompts)
    for fold in range(task.folds):
        evidence = _evidence(
            (p, k) for p, k, f in zip(task.prompts, kinds, fold_of, strict=True) if f != fold
        )
        for position, kind in enumerate(kinds):
            if fold_of[position] == fold:
                better, worse = (
                    estimate_quality(_unknown(model), kind, evidence).mean
                    for model in (task.strong, task.weak)
                )
                scores[position] = better - worse
    return scores


def score_by_oracle(task: Comparison) -> list[float]:
    """The ceiling: knows both outcomes beforehand."""
    return [p.outcomes[task.strong].quality - p.outcomes[task.weak].quality for p in task.prompts]


SCORERS: dict[str, Scorer] = {
    "random": score_randomly,
    "length": score_by_length,
    "complexity": score_by_complexity,
    "learning": score_by_learning,
    "oracle": score_by_oracle,
}


def _unknown(model: str) -> ModelOption:
    """Both models start from one prior, so that only outcomes tell them apart."""
    price = Decimal(0)
    return ModelOption("recorded", model, "moderate", 0, price, price, context_window=1)


def _evidence(
    training: Iterable[tuple[RecordedPrompt, PromptAnalysis]],
) -> dict[EvidenceKey, Evidence]:
    sums: dict[EvidenceKey, tuple[int, float]] = {}
    for prompt, kind in training:
        for model, outcome in prompt.outcomes.items():
            key = (kind.pattern, kind.tier, "recorded", model)
            count, total = sums.get(key, (0, 0.0))
            sums[key] = (count + 1, total + outcome.quality)
    return {key: Evidence(count, total) for key, (count, total) in sums.items()}
