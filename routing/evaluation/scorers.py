"""Scores to compare: the higher, the more a prompt needs the strong model.

The score is apart from the policy that turns it into a decision.
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
from routing.text import PromptText
from routing.training.cross_fitting import (
    cross_logits,
    cross_parts,
    random_groups,
    transferred,
)
from routing.training.train import FEWEST_PROMPTS, examples_of


@dataclass(frozen=True)
class ScorerComparison:
    """What is scored: prompts, the two models, and how what is trained is cross-validated.

    ``others`` are prompts of other benchmarks, and ``artifact`` a predictor
    trained before, for those who need them.
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
        """Both models' logits on each prompt, by a predictor trained on the other folds, (n, 2)."""
        if len(self.prompts) < FEWEST_PROMPTS:
            raise OutcomesError(
                f"{self.prompts[0].benchmark}: {len(self.prompts)} prompts are too few to learn "
                f"from; 'learning' and 'hybrid' need {FEWEST_PROMPTS}"
            )
        examples = examples_of(self.prompts, self.weak, self.strong)
        groups = random_groups(len(self.prompts), self.folds, self.seed)
        with threadpool_limits(1):
            parts = cross_parts(examples, groups, self.seed, lambda: None)
            return cross_logits(parts, examples.quality, groups)


Scorer = Callable[[ScorerComparison], list[float]]
"""One score a prompt, in the order of the prompts."""

_OVERRIDE: dict[Tier, float] = {"simple": -2.0, "moderate": 0.0, "complex": 2.0}
"""More than any gap, which lies between -1 and 1."""


def score_randomly(task: ScorerComparison) -> list[float]:
    """The floor: a router that knows nothing."""
    draw = random.Random(task.seed)  # noqa: S311 - a baseline, no secret
    return [draw.random() for _ in task.prompts]


def score_by_length(task: ScorerComparison) -> list[float]:
    """Longer prompts to the strong model."""
    return [float(len(p.prompt)) for p in task.prompts]


def score_by_complexity(task: ScorerComparison) -> list[float]:
    """The default strategy's own score."""
    return [score_complexity(p.prompt).score for p in task.prompts]


def score_by_learning(task: ScorerComparison) -> list[float]:
    """The gap expected by a predictor trained on the other folds' prompts only."""
    return [quality_gap((weak, strong)) for weak, strong in task.cross_logits]


def score_by_hybrid(task: ScorerComparison) -> list[float]:
    """Learning, overridden by complexity where the two are two tiers apart.

    The weak model stands for the simple tier, the strong one for the complex
    tier, and confidence is taken to be high, so that complexity always may.
    """
    gaps = score_by_learning(task)
    tiers = [analyze_prompt(p.prompt).tier for p in task.prompts]
    return [gap + _OVERRIDE[tier] for gap, tier in zip(gaps, tiers, strict=True)]


def score_by_trained(task: ScorerComparison) -> list[float]:
    """The gap expected by the artifact as it is."""
    if task.artifact is None:
        raise OutcomesError("the router 'trained' needs an artifact")
    predictor = task.artifact.predictor
    return [quality_gap(predictor.anchors(*_read(p))) for p in task.prompts]


def score_by_transfer(task: ScorerComparison) -> list[float]:
    """The gap expected by a predictor trained on the other benchmarks only."""
    if len(task.others) < FEWEST_PROMPTS:
        raise OutcomesError(
            f"the router 'transfer' needs {FEWEST_PROMPTS} prompts of other benchmarks"
        )
    with threadpool_limits(1):
        logits = transferred(
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
    """The ceiling: knows both outcomes beforehand."""
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
