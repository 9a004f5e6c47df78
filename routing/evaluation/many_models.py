"""Routers among more than two models: their expectations and their curves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import Ridge

from routing.analysis import analyze_prompt
from routing.complexity import score_complexity
from routing.evaluation.curves import Floats
from routing.evaluation.frontier import (
    Curve,
    FrontierFigures,
    ModelResults,
    curve,
    frontier_figures,
    mixing_curve,
    picks_by_penalty,
)
from routing.evaluation.scorers import ScorerComparison
from routing.learning.features import structure
from routing.learning.predictor import CLIP
from routing.outcomes import Prices, RecordedPrompt
from routing.prompt_text import PromptText
from routing.training.cross_fitting import Groups, random_groups

FEWEST_MODELS = 3
_SHRINKAGE = 1000.0
_COST_SHRINKAGE = 300.0


@dataclass(frozen=True, slots=True)
class ManyModels:
    """Curves and figures by router; ``mixing`` is the curve of random mixing.

    ``unpriced`` are models that are left out, as their price or their tokens are not known.
    """

    results: ModelResults
    mixing: Curve
    curves: dict[str, Curve]
    figures: dict[str, FrontierFigures]
    unpriced: list[str]

    @property
    def best(self) -> str:
        """Return the model with the best mean quality."""
        return self.results.models[int(self.results.quality.mean(axis=0).argmax())]


def compare_many(
    task: ScorerComparison, routers: Sequence[str], prices: Prices, *, resamples: int
) -> ManyModels | None:
    """Compare routers among all models of a benchmark that have prices and recorded tokens.

    Return ``None`` if there are fewer than three.
    """
    common = sorted(set.intersection(*(set(p.outcomes) for p in task.prompts)))
    models = [m for m in common if _priced(task.prompts, m, prices)]
    if len(models) < FEWEST_MODELS:
        return None
    price = np.array([[float(usd) for usd in prices[m]] for m in models]).T / 1e6
    tokens = np.array(
        [[(o.input_tokens, o.output_tokens) for m in models for o in (p.outcomes[m],)]
         for p in task.prompts],
        dtype=float,
    )  # fmt: skip
    results = ModelResults(
        models,
        np.array([[p.outcomes[m].quality for m in models] for p in task.prompts]),
        tokens[..., 0] * price[0] + tokens[..., 1] * price[1],
    )
    groups = random_groups(len(task.prompts), task.folds, task.seed)
    x = _standard(np.array([structure(PromptText.read(p.prompt)) for p in task.prompts]))
    expected_cost = (
        tokens[..., 0] * price[0] + _expected_output(x, tokens[..., 1], groups) * (price[1])
    )
    signals = _signals(task, x)
    curves, figures = {}, {}
    for router in routers:
        if router == "oracle":
            chosen = picks_by_penalty(results.quality, results.cost)
        elif router in signals:
            expected = _cross_regressed(signals[router], results.quality, groups)
            chosen = picks_by_penalty(expected, expected_cost)
        else:
            continue
        curves[router] = curve(results, chosen)
        figures[router] = frontier_figures(results, chosen, resamples=resamples, seed=task.seed)
    unpriced = [m for m in common if m not in models]
    return ManyModels(results, mixing_curve(results), curves, figures, unpriced)


def _signals(task: ScorerComparison, x: Floats) -> dict[str, Floats]:
    """Return each router's features of the prompts, (n, k), to regress the qualities on."""
    prompts = [p.prompt for p in task.prompts]
    signals = {
        "length": np.array([[np.log1p(len(prompt))] for prompt in prompts]),
        "complexity": np.array([[score_complexity(prompt).score] for prompt in prompts]),
        "learning": x,
    }
    if task.artifact is not None:
        analyses = [analyze_prompt(prompt) for prompt in prompts]
        predictor = task.artifact.predictor
        signals["trained"] = np.array([predictor.anchors(a.text, a.pattern) for a in analyses])  # type: ignore[arg-type]
    return {name: _standard(values) for name, values in signals.items()}


def _cross_regressed(x: Floats, y: Floats, groups: Groups, shrinkage: float = _SHRINKAGE) -> Floats:
    """Predict ``y`` (n, m) from ``x`` (n, k), each fold by a regression on the other folds."""
    expected = np.empty_like(y)
    for group in np.unique(groups):
        held_out = groups == group
        model = Ridge(shrinkage).fit(x[~held_out], y[~held_out])
        expected[held_out] = model.predict(x[held_out])
    return expected


def _expected_output(x: Floats, tokens: Floats, groups: Groups) -> Floats:
    """Return the output tokens expected of each model, (n, m), from the other folds.

    It is a regression of their logarithm, scaled so that the sums agree (Duan 1983,
    smearing).
    """
    expected = np.exp(_cross_regressed(x, np.log1p(tokens), groups, _COST_SHRINKAGE))
    for group in np.unique(groups):
        held_out = groups == group
        scale = tokens[~held_out].mean(axis=0) / expected[~held_out].mean(axis=0)
        expected[held_out] *= scale
    return expected


def _standard(x: Floats) -> Floats:
    spread = x.std(axis=0)
    return np.clip((x - x.mean(axis=0)) / np.where(spread > 1e-9, spread, 1.0), -CLIP, CLIP)


def _priced(prompts: Sequence[RecordedPrompt], model: str, prices: Prices) -> bool:
    return model in prices and all(
        o.input_tokens is not None and o.output_tokens is not None
        for p in prompts
        for o in (p.outcomes[model],)
    )
