"""Trains the predictor on recorded outcomes and measures it on held-out prompts."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit
from threadpoolctl import threadpool_limits

from routing.learning.artifact import as_stored
from routing.learning.posterior import Z
from routing.learning.predictor import Floats, QualityPredictor
from routing.outcomes import OutcomesError, RecordedPrompt
from routing.training.cross_fitting import (
    Learners,
    Step,
    cross_logits,
    cross_parts,
    label_groups,
    random_groups,
    transfer_logits,
)
from routing.training.fitting import Examples, fit_blend

FEWEST_PROMPTS = 50
TOPIC_GROUPS = 8
_FEWEST_OF_A_TOPIC = 10
_FEWEST_TOPICS = 8
_DEFAULT_STRENGTH = 8.0
_STRENGTH_RANGE = (4.0, 40.0)


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """The predictor and its logits (n, 2) on prompts that it was not trained on.

    ``held_out`` is from random folds, ``left_out`` from training without the prompt's
    whole benchmark (``nan`` if there is only one). ``coverage`` is the share (0-1) of
    left-out topics whose mean lay in its 80 % interval.
    """

    predictor: QualityPredictor
    quality: Floats
    held_out: Floats
    left_out: Floats
    coverage: float | None


def anchor_models(
    prompts: Sequence[RecordedPrompt], weak: str | None = None, strong: str | None = None
) -> tuple[str, str]:
    """Return the weak and strong model of a benchmark: worst and best on average unless named.

    Raise :class:`OutcomesError` if the prompts do not allow it.
    """
    common = set.intersection(*(set(p.outcomes) for p in prompts))
    benchmark = prompts[0].benchmark
    if len(common) < 2:
        raise OutcomesError(f"{benchmark}: fewer than two models have all outcomes")
    means = {m: float(np.mean([p.outcomes[m].quality for p in prompts])) for m in sorted(common)}
    strong = strong or max(means, key=lambda m: means[m])
    weak = weak or min(means, key=lambda m: means[m])
    for model in (weak, strong):
        if model not in means:
            raise OutcomesError(
                f"{benchmark}: no outcomes of {model}; there are {', '.join(means)}"
            )
    return weak, strong


def examples_of(
    prompts: Sequence[RecordedPrompt], weak: str | None = None, strong: str | None = None
) -> Examples:
    """Return features and both anchors' qualities; each benchmark has its own anchors."""
    by_benchmark: dict[str, list[RecordedPrompt]] = defaultdict(list)
    for prompt in prompts:
        by_benchmark[prompt.benchmark].append(prompt)
    anchors = {name: anchor_models(group, weak, strong) for name, group in by_benchmark.items()}
    quality = [[p.outcomes[model].quality for model in anchors[p.benchmark]] for p in prompts]
    # A benchmark with a tenth of the prompts counts like a third, so that each has influence.
    largest = max(map(len, by_benchmark.values()))
    copies = {name: round(math.sqrt(largest / len(group))) for name, group in by_benchmark.items()}
    return Examples.of(
        [p.prompt for p in prompts],
        np.array(quality),
        np.array([copies[p.benchmark] for p in prompts]),
    )


def fits_needed(prompts: Sequence[RecordedPrompt], folds: int) -> int:
    """Return how many steps ``train`` reports."""
    benchmarks = len({p.benchmark for p in prompts})
    return 1 + folds + (TOPIC_GROUPS if _has_topics(prompts) else 0) + benchmarks * (benchmarks > 1)


def train(
    prompts: Sequence[RecordedPrompt],
    *,
    weak: str | None = None,
    strong: str | None = None,
    folds: int = 5,
    seed: int = 0,
    step: Step = lambda: None,
) -> TrainingResult:
    """Train on all ``prompts``. Equal input and seed give equal bits.

    Raise :class:`OutcomesError` if there are too few prompts.
    """
    if len(prompts) < FEWEST_PROMPTS:
        raise OutcomesError(
            f"{len(prompts)} prompts are too few to learn from; give at least {FEWEST_PROMPTS}"
        )
    # One thread, as sums in another order differ in the last bits.
    with threadpool_limits(1):
        examples = examples_of(prompts, weak, strong)
        groups = random_groups(len(prompts), folds, seed)
        parts = cross_parts(examples, groups, seed, step)
        learners = Learners.fit(examples, seed)
        step()
        strength, coverage = _prior_strength(prompts, examples, seed, step)
        predictor = QualityPredictor(
            learners.trees,
            learners.linear,
            learners.words,
            fit_blend(parts, examples.quality),
            strength,
        )
        return TrainingResult(
            as_stored(predictor),
            examples.quality,
            cross_logits(parts, examples.quality, groups),
            _left_out(prompts, examples, folds, seed, step),
            coverage,
        )


def _left_out(
    prompts: Sequence[RecordedPrompt], examples: Examples, folds: int, seed: int, step: Step
) -> Floats:
    """Return the logits on each benchmark of a predictor trained on the others, (n, 2)."""
    labels = np.array([p.benchmark for p in prompts])
    logits = np.full((len(prompts), 2), np.nan)
    if len(set(labels)) > 1:
        for benchmark in sorted(set(labels)):
            here = labels == benchmark
            logits[here] = transfer_logits(examples.take(~here), examples.take(here), seed, folds)
            step()
    return logits


def topic_of(prompt: RecordedPrompt) -> str:
    """Return the id up to its last slash: ``mmlu/virology`` for ``mmlu/virology/12``."""
    return prompt.id.rpartition("/")[0] or prompt.benchmark


def _topics(prompts: Sequence[RecordedPrompt]) -> list[str]:
    """Return the topics with enough prompts to compare their mean with the prediction."""
    counts = Counter(topic_of(p) for p in prompts)
    return [topic for topic, n in counts.items() if n >= _FEWEST_OF_A_TOPIC]


def _has_topics(prompts: Sequence[RecordedPrompt]) -> bool:
    return len(_topics(prompts)) >= _FEWEST_TOPICS


def _prior_strength(
    prompts: Sequence[RecordedPrompt], examples: Examples, seed: int, step: Step
) -> tuple[float, float | None]:
    """Return how many ratings a prediction on an unseen topic weighs, and its coverage.

    The topics' true means scatter around the predicted ones like a Beta of
    this strength: by moments, ``strength = p (1 - p) / variance - 1``, where the
    variance is that of the means less what sampling explains (the method of
    moments of DerSimonian & Laird 1986, equal weights). The coverage is the share
    of topics whose mean lies in its 80 % interval, ``None`` without topics.
    """
    if not _has_topics(prompts):
        return _DEFAULT_STRENGTH, None
    topics = np.array([topic_of(p) for p in prompts])
    groups = label_groups(topics.tolist(), TOPIC_GROUPS, seed)
    parts = cross_parts(examples, groups, seed, step)
    predicted = expit(cross_logits(parts, examples.quality, groups))
    members = [topics == topic for topic in _topics(prompts)]
    expected = np.array([predicted[m].mean(axis=0) for m in members])
    error = np.array([examples.quality[m].mean(axis=0) for m in members]) - expected
    binomial = expected * (1 - expected)
    sampling = binomial / np.array([[m.sum()] for m in members])
    variance = max(1e-6, float((error**2).mean() - sampling.mean()))
    low, high = _STRENGTH_RANGE
    strength = round(min(high, max(low, float(binomial.mean()) / variance - 1)), 2)
    covered = np.abs(error) <= Z * np.sqrt(binomial / (strength + 1) + sampling)
    return strength, float(covered.mean())
