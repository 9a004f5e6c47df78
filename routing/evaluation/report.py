"""Evaluates routers per benchmark: between the same two models, and among all models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from scipy.special import expit

from routing.evaluation.calibration import Reliability, reliability
from routing.evaluation.curves import Interval, Pair, bootstrap
from routing.evaluation.many_models import ManyModels, compare_many
from routing.evaluation.scorers import SCORERS, ScorerComparison
from routing.learning.artifact import Artifact
from routing.outcomes import Prices, RecordedPrompt
from routing.training.families import family_of
from routing.training.train import anchor_models

LeaveOut = Literal["benchmark", "family"]


@dataclass(frozen=True, slots=True)
class BenchmarkReport:
    """The figures of one benchmark.

    ``routers`` maps a router to its figures, ``scores`` to its score of each prompt.
    Qualities are means, 0-1. ``reliability`` holds the calibration of cross-validated
    predictions for the weak and the strong model; it is empty unless learning was
    evaluated. ``seen`` counts prompts that the artifact was trained on, ``apart`` those that
    other models answered, which cannot be compared with these.
    """

    benchmark: str
    weak: str
    strong: str
    pair: Pair
    routers: dict[str, dict[str, Interval]]
    scores: dict[str, list[float]]
    reliability: dict[str, Reliability] = field(default_factory=dict)
    many: ManyModels | None = None
    seen: int = 0
    apart: int = 0

    @property
    def prompts(self) -> int:
        """Return the number of prompts."""
        return len(self.pair.ids)


def evaluate(
    benchmarks: Mapping[str, Sequence[RecordedPrompt]],
    benchmark: str,
    *,
    routers: Sequence[str],
    prices: Prices,
    weak: str | None = None,
    strong: str | None = None,
    artifact: Artifact | None = None,
    folds: int = 5,
    resamples: int = 1000,
    seed: int = 0,
    leave_out: LeaveOut = "family",
) -> BenchmarkReport:
    """Evaluate ``routers`` on one of ``benchmarks``.

    The strong model is the best on average, the weak one the worst, unless
    named. "transfer" is trained without this benchmark, or without all benchmarks of its
    family. Raise :class:`OutcomesError` if the prompts do not allow it.
    """
    prompts = comparable(benchmarks[benchmark], {m for m in (weak, strong) if m})
    weak, strong = anchor_models(prompts, weak, strong)
    others = [
        prompt
        for name, group in benchmarks.items()
        if name != benchmark
        and (leave_out == "benchmark" or family_of(name) != family_of(benchmark))
        for prompt in group
    ]
    task = ScorerComparison(prompts, weak, strong, folds, seed, others, artifact)
    pair = Pair(
        [p.id for p in prompts],
        np.array([p.outcomes[weak].quality for p in prompts]),
        np.array([p.outcomes[strong].quality for p in prompts]),
        np.array([_cost(p, weak, prices) for p in prompts]),
        np.array([_cost(p, strong, prices) for p in prompts]),
    )
    scores = {name: SCORERS[name](task) for name in routers}
    return BenchmarkReport(
        benchmark,
        weak,
        strong,
        pair,
        {name: bootstrap(pair, s, resamples=resamples, seed=seed) for name, s in scores.items()},
        scores,
        _reliability(task, pair) if "learning" in scores else {},
        compare_many(task, routers, prices, resamples=resamples),
        sum(artifact.has_seen(p.prompt) for p in prompts) if artifact else 0,
        len(benchmarks[benchmark]) - len(prompts),
    )


def comparable(prompts: Sequence[RecordedPrompt], named: Set[str]) -> Sequence[RecordedPrompt]:
    """Return the prompts that the same models answered: all of them, or else most of them.

    A benchmark may stand in several files with other models in each. The ``named`` models are
    among those of the prompts that are returned, if there are such prompts.
    """
    if len(set.intersection(*(set(p.outcomes) for p in prompts))) > 1:
        return prompts
    sets = {frozenset(p.outcomes) for p in prompts}
    usable = [models for models in sets if len(models) > 1 and models >= named]
    if not usable:
        return prompts
    answered = {models: [p for p in prompts if models <= set(p.outcomes)] for models in usable}
    return max(
        answered.values(), key=lambda group: (len(group), len(group[0].outcomes), group[0].id)
    )


def _reliability(task: ScorerComparison, pair: Pair) -> dict[str, Reliability]:
    likely = expit(task.cross_logits)
    return {
        task.weak: reliability(likely[:, 0], pair.weak_quality),
        task.strong: reliability(likely[:, 1], pair.strong_quality),
    }


def _cost(prompt: RecordedPrompt, model: str, prices: Prices) -> float:
    """Return the cost in USD, a float as it is a statistic; ``nan`` without price or tokens."""
    outcome = prompt.outcomes[model]
    if model not in prices or outcome.input_tokens is None or outcome.output_tokens is None:
        return float("nan")
    price_in, price_out = prices[model]
    return float(price_in * outcome.input_tokens + price_out * outcome.output_tokens) / 1e6
