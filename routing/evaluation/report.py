"""One table of figures per benchmark: every router between the same two models."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from routing.evaluation.curves import Interval, Pair, bootstrap
from routing.evaluation.outcomes import OutcomesError, RecordedPrompt
from routing.evaluation.scorers import SCORERS, Comparison

Prices = Mapping[str, tuple[Decimal, Decimal]]
"""USD per million input and output tokens, by model."""


@dataclass(frozen=True, slots=True)
class BenchmarkReport:
    """``routers`` maps a router to its figures; qualities are means, 0-1."""

    benchmark: str
    prompts: int
    weak: str
    strong: str
    weak_quality: float
    strong_quality: float
    routers: dict[str, dict[str, Interval]]


def evaluate(
    prompts: Sequence[RecordedPrompt],
    *,
    routers: Iterable[str],
    prices: Prices,
    weak: str | None = None,
    strong: str | None = None,
    folds: int = 5,
    resamples: int = 1000,
    seed: int = 0,
) -> BenchmarkReport:
    """Evaluate ``routers`` on one benchmark's prompts.

    The strong model is the best on average, the weak one the worst, unless
    named. Raises :class:`OutcomesError` when the prompts do not allow it.
    """
    common = set.intersection(*(set(p.outcomes) for p in prompts))
    if len(common) < 2:
        raise OutcomesError(f"{prompts[0].benchmark}: fewer than two models have all outcomes")
    means = {m: float(np.mean([p.outcomes[m].quality for p in prompts])) for m in sorted(common)}
    strong = strong or max(means, key=lambda m: means[m])
    weak = weak or min(means, key=lambda m: means[m])
    for model in (weak, strong):
        if model not in means:
            known = ", ".join(means)
            raise OutcomesError(
                f"{prompts[0].benchmark}: no outcomes of {model}; there are {known}"
            )
    task = Comparison(prompts, weak, strong, folds, seed)
    pair = Pair(
        [p.id for p in prompts],
        np.array([p.outcomes[weak].quality for p in prompts]),
        np.array([p.outcomes[strong].quality for p in prompts]),
        np.array([_cost(p, weak, prices) for p in prompts]),
        np.array([_cost(p, strong, prices) for p in prompts]),
    )
    return BenchmarkReport(
        prompts[0].benchmark,
        len(prompts),
        weak,
        strong,
        means[weak],
        means[strong],
        {
            name: bootstrap(
                pair,
                SCORERS[name](task),
                resamples=resamples,
                seed=seed,
            )
            for name in routers
        },
    )


def _cost(prompt: RecordedPrompt, model: str, prices: Prices) -> float:
    """USD as a float: a statistic, never an account."""
    outcome = prompt.outcomes[model]
    if model not in prices or outcome.input_tokens is None or outcome.output_tokens is None:
        return float("nan")
    price_in, price_out = prices[model]
    return float(price_in * outcome.input_tokens + price_out * outcome.output_tokens) / 1e6
