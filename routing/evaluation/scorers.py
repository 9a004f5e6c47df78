"""Scores to compare: the higher the score, the more a prompt needs the strong model.

A score is kept apart from the policy that turns it into a decision.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from threadpoolctl import threadpool_limits

from routing.analysis import analyze_prompt
from routing.complexity import score_complexity
from routing.learning.artifact import Artifact
from routing.learning.predictor import Floats, quality_gap
from routing.models import Tier
from routing.outcomes import OutcomesError, RecordedPrompt
from routing.prompt_text import PromptText
from routing.training.cross_fitting import (
    cross_logits,
    cross_predict,
    random_groups,
    transfer_logits,
)
from routing.training.train import FEWEST_PROMPTS, examples_of


@dataclass(frozen=True)
class ScorerComparison:
    """The input of scorers: prompts, the two models, and how trained scorers are validated.

    Some scorers also need ``others``, the prompts of other benchmarks, or
    ``artifact``, a predictor trained before.
    """

    prompts: Sequence[RecordedPrompt]
    weak: str
    strong: str
    folds: int = 5
    seed: int = 0
    others: Sequence[RecordedPrompt] = ()
    artifact: Artifact | None = None

    @cached_property
    def cross_logits(self) -> Floats:
        """Return both models' logits, (n, 2), each fold by a predictor trained on the others."""
        if len(self.prompts) < FEWEST_PROMPTS:
            raise OutcomesError(
                f"{self.prompts[0].benchmark}: {len(self.prompts)} prompts are too few to learn "
                f"from; 'learning' and 'hybrid' need {FEWEST_PROMPTS}"
            )
        examples = examples_of(self.prompts, self.weak, self.strong)
        groups = random_groups(len(self.prompts), self.folds, self.seed)
        with threadpool_limits(1):
            predicted = cross_predict(examples, groups, lambda: None)
            return cross_logits(predicted, examples.quality, groups)


Scorer = Callable[[ScorerComparison], list[float]]
"""Returns one score per prompt, in the order of the prompts."""

_OVERRIDE: dict[Tier, float] = {"simple": -2.0, "moderate": 0.0, "complex": 2.0}
"""Larger than any gap, which lies between -1 and 1."""


def score_randomly(task: ScorerComparison) -> list[float]:
    """Score at random: the lower limit, a router without information."""
    draw = random.Random(task.seed)  # noqa: S311 - a baseline, no secret
    return [draw.random() for _ in task.prompts]


def score_by_length(task: ScorerComparison) -> list[float]:
    """Score by length, so that longer prompts go to the strong model."""
    return [float(len(p.prompt)) for p in task.prompts]


def score_by_complexity(task: ScorerComparison) -> list[float]:
    """Return the score of the default strategy."""
    return [score_complexity(p.prompt).score for p in task.prompts]


def score_by_learning(task: ScorerComparison) -> list[float]:
    """Return the gap expected by a predictor trained only on the other folds' prompts."""
    return [quality_gap((weak, strong)) for weak, strong in task.cross_logits]


def score_by_hybrid(task: ScorerComparison) -> list[float]:
    """Score by learning, overridden by complexity if the two are two tiers apart.

    The weak model stands for the simple tier and the strong one for the complex
    tier. Confidence counts as high, so that complexity may always override.
    """
    gaps = score_by_learning(task)
    tiers = [analyze_prompt(p.prompt).tier for p in task.prompts]
    return [gap + _OVERRIDE[tier] for gap, tier in zip(gaps, tiers, strict=True)]


def score_by_trained(task: ScorerComparison) -> list[float]:
    """Return the gap expected by the given artifact."""
    if task.artifact is None:
        raise OutcomesError("the router 'trained' needs an artifact")
    predictor = task.artifact.predictor
    return [quality_gap(predictor.anchors(*_read(p))) for p in task.prompts]


def score_by_transfer(task: ScorerComparison) -> list[float]:
    """Return the gap expected by a predictor trained only on the other benchmarks."""
    if len(task.others) < FEWEST_PROMPTS:
        raise OutcomesError(
            f"the router 'transfer' needs {FEWEST_PROMPTS} prompts of other benchmarks"
        )
    with threadpool_limits(1):
        logits = transfer_logits(
            examples_of(task.others),
            examples_of(task.prompts, task.weak, task.strong),
            task.seed,
            task.folds,
        )
    return [quality_gap((weak, strong)) for weak, strong in logits]


def _read(prompt: RecordedPrompt) -> tuple[PromptText, str]:
    analysis = analyze_prompt(prompt.prompt)
    assert analysis.text is not None
    return analysis.text, analysis.pattern


def score_by_oracle(task: ScorerComparison) -> list[float]:
    """Return the true gap: the upper limit, a router that knows both outcomes."""
    return [p.outcomes[task.strong].quality - p.outcomes[task.weak].quality for p in task.prompts]


SCORERS: dict[str, Scorer] = {
    "random": score_randomly,
    "length": score_by_length,
    "complexity": score_by_complexity,
    "learning": score_by_learning,
    "hybrid": score_by_hybrid,
    "trained": score_by_trained,
    "transfer": score_by_transfer,
    "oracle": score_by_oracle,
}
