"""Trains the predictor on recorded outcomes and measures it on held-out prompts."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from threadpoolctl import threadpool_limits

from routing.learning.artifact import as_stored
from routing.learning.posterior import Z
from routing.learning.predictor import Floats, QualityPredictor
from routing.outcomes import OutcomesError, RecordedPrompt
from routing.training.abilities import anchor_qualities, topic_of
from routing.training.cross_fitting import (
    Groups,
    Learners,
    Predicted,
    Step,
    cross_logits,
    cross_predict,
    label_groups,
    random_groups,
)
from routing.training.domain_labels import domain_labels
from routing.training.families import family_of
from routing.training.fitting import Examples, fit_blend
from routing.training.fitting_ground import USUAL_TRUST, fit_trust

FEWEST_PROMPTS = 50
TOPIC_GROUPS = 8
_FEWEST_OF_A_TOPIC = 10
_FEWEST_TOPICS = 8
_DEFAULT_STRENGTH = 8.0
_STRENGTH_RANGE = (4.0, 40.0)
_MOST_FAR = 34.0
"""What a prediction on a left-out family weighed when AlpacaEval was one of the families.

The others are few, and all count what is exactly right, so they say too little of other prompts.
"""
FAR_STRENGTH = 8.0
"""Of a predictor that was trained on one family of prompts, so that nothing measures it."""


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """The predictor and its logits (n, 2) on prompts that it was not trained on.

    ``held_out`` is from random folds, ``left_out`` from training without the prompt's
    whole family of benchmarks (``nan`` if there is only one). ``coverage`` is the share (0-1)
    of left-out topics whose lead of the strong model lay in its 80 % interval, ``far_coverage``
    that of benchmarks whose family was left out.
    """

    predictor: QualityPredictor
    quality: Floats
    held_out: Floats
    left_out: Floats
    coverage: float | None
    far_coverage: float | None


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
    """Return features and both anchors' qualities.

    If a model is named, the anchors are two models of each benchmark. Otherwise they are means
    over the weaker and the stronger models (:func:`routing.training.abilities.anchor_qualities`).
    """
    by_benchmark: dict[str, list[RecordedPrompt]] = defaultdict(list)
    for prompt in prompts:
        by_benchmark[prompt.benchmark].append(prompt)
    if weak is None and strong is None:
        quality = anchor_qualities(prompts)
    else:
        anchors = {name: anchor_models(group, weak, strong) for name, group in by_benchmark.items()}
        quality = np.array(
            [[p.outcomes[model].quality for model in anchors[p.benchmark]] for p in prompts]
        )
    number = {name: index for index, name in enumerate(sorted(by_benchmark))}
    # A benchmark with a tenth of the prompts counts like a third, so that each has influence.
    largest = max(map(len, by_benchmark.values()))
    copies = {name: round(math.sqrt(largest / len(group))) for name, group in by_benchmark.items()}
    return Examples.of(
        [p.prompt for p in prompts],
        quality,
        np.array([domain_labels(p) for p in prompts]),
        np.array([number[p.benchmark] for p in prompts]),
        np.array([copies[p.benchmark] for p in prompts]),
    )


def fits_needed(prompts: Sequence[RecordedPrompt], folds: int) -> int:
    """Return how many steps ``train`` reports."""
    families = len(set(families_of(prompts)))
    return 1 + folds + (TOPIC_GROUPS if _has_topics(prompts) else 0) + families * (families > 1)


def families_of(prompts: Sequence[RecordedPrompt]) -> list[str]:
    """Return the family of each prompt's benchmark."""
    return [family_of(p.benchmark) for p in prompts]


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
        near = cross_predict(examples, groups, step)
        blend = fit_blend(near.parts, examples.quality)
        far = _left_out(prompts, examples, step)
        trust = USUAL_TRUST
        left_out = np.full((len(prompts), 2), np.nan)
        far_strength, far_coverage = FAR_STRENGTH, None
        if far is not None:
            trust = fit_trust(near.signs, far.signs, examples.copies)
            left_out = far.logits(blend.logits(far.parts), trust)
            benchmarks = np.array([p.benchmark for p in prompts])
            far_strength, far_coverage = _means(
                benchmarks, left_out, examples.quality
            ).lead_strength(_MOST_FAR)
        learners = Learners.fit(examples, trust, far)
        step()
        near_strengths = _near_strengths(prompts, examples, trust, seed, step)
        predictor = QualityPredictor(
            learners.linear,
            learners.words,
            learners.experts,
            blend,
            learners.ground,
            learners.general,
            near_strengths.level,
            near_strengths.lead,
            min(near_strengths.lead, far_strength),
        )
        return TrainingResult(
            as_stored(predictor),
            examples.quality,
            cross_logits(near, examples.quality, groups, trust),
            left_out,
            near_strengths.coverage,
            far_coverage,
        )


def _left_out(
    prompts: Sequence[RecordedPrompt], examples: Examples, step: Step
) -> Predicted | None:
    """Return predictions on each family by learners fitted on the others; ``None`` if alone."""
    families = families_of(prompts)
    names = sorted(set(families))
    if len(names) < 2:
        return None
    groups: Groups = np.array([names.index(family) for family in families])
    return cross_predict(examples, groups, step)


def _topics(prompts: Sequence[RecordedPrompt]) -> list[str]:
    """Return the topics with enough prompts to compare their mean with the prediction."""
    counts = Counter(topic_of(p) for p in prompts)
    return [topic for topic, n in counts.items() if n >= _FEWEST_OF_A_TOPIC]


def _has_topics(prompts: Sequence[RecordedPrompt]) -> bool:
    return len(_topics(prompts)) >= _FEWEST_TOPICS


class _NearStrengths(NamedTuple):
    """How many ratings predictions on unseen topics weigh, and how often their intervals hold."""

    level: float
    lead: float
    coverage: float | None


def _near_strengths(
    prompts: Sequence[RecordedPrompt], examples: Examples, trust: Floats, seed: int, step: Step
) -> _NearStrengths:
    if not _has_topics(prompts):
        return _NearStrengths(_DEFAULT_STRENGTH, _DEFAULT_STRENGTH, None)
    topics = np.array([topic_of(p) for p in prompts])
    groups = label_groups(topics.tolist(), TOPIC_GROUPS, seed)
    predicted = cross_predict(examples, groups, step)
    logits = cross_logits(predicted, examples.quality, groups, trust)
    labels = np.where(np.isin(topics, _topics(prompts)), topics, "")
    means = _means(labels, logits, examples.quality)
    return _NearStrengths(means.level_strength(), *means.lead_strength())


@dataclass(frozen=True, slots=True)
class _Means:
    """The true means of ``l`` labels less the predicted ones, (l, 2), and their variances.

    ``binomial`` is p (1 - p), ``sampling`` that divided by the label's prompts, and
    ``lead_sampling`` (l,) the variance of the mean lead of the strong model.
    """

    error: Floats
    binomial: Floats
    sampling: Floats
    lead_sampling: Floats

    def level_strength(self) -> float:
        """Return how many ratings a predicted level weighs."""
        return self.strength(float((self.error**2).mean() - self.sampling.mean()))

    def lead_strength(self, most: float = math.inf) -> tuple[float, float]:
        """Return how many ratings, at most ``most``, a predicted lead of the strong model weighs.

        The second value is its coverage: the share of labels whose mean lead lies in its 80 %
        interval.
        """
        error = self.error[:, 1] - self.error[:, 0]
        # The error of a lead is that of two models.
        strength = min(most, self.strength(float((error**2 - self.lead_sampling).mean()) / 2))
        spread = 2 * self.binomial.mean(axis=1) / (strength + 1) + self.lead_sampling
        return strength, float((np.abs(error) <= Z * np.sqrt(spread)).mean())

    def strength(self, scatter: float) -> float:
        """Return the strength of the Beta whose means scatter with the variance ``scatter``.

        By moments, ``strength = p (1 - p) / scatter - 1``, where the variance is that of the
        means less what sampling explains (the method of moments of DerSimonian & Laird 1986,
        equal weights).
        """
        low, high = _STRENGTH_RANGE
        strength = float(self.binomial.mean()) / max(1e-6, scatter) - 1
        return round(min(high, max(low, strength)), 2)


def _means(labels: NDArray[np.str_], logits: Floats, quality: Floats) -> _Means:
    members = [labels == label for label in sorted(set(labels.tolist()) - {""})]
    predicted = expit(logits)
    lead = quality[:, 1] - quality[:, 0]
    expected = np.array([predicted[m].mean(axis=0) for m in members])
    count = np.array([m.sum() for m in members])
    binomial = expected * (1 - expected)
    return _Means(
        np.array([quality[m].mean(axis=0) for m in members]) - expected,
        binomial,
        binomial / count[:, None],
        np.array([lead[m].var() for m in members]) / count,
    )
