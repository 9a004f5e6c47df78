"""One scale for all models and prompts: item response theory over several sources at once.

P(model m answers prompt i well) = sigmoid(ability of m - difficulty of i), as in Rasch 1960.
Sources are linked by the models that they share. A model may do better or worse on one benchmark
than elsewhere (its answers may not parse there), so each pair has a deviation of its own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from routing.learning.predictor import Floats
from routing.outcomes import RecordedPrompt

_ABILITY_VARIANCE = 2.25
_LEVEL_VARIANCE = 4.0
_DEVIATION_VARIANCE = 0.35
_DIFFICULTY_VARIANCE = 1.2
_ROUNDS = 60
# Of the models' abilities: today's small models stand for the weak one, the best for the strong.
_WEAK_QUANTILE, _STRONG_QUANTILE = 0.4, 0.9
_WEAK_WIDTH, _STRONG_WIDTH = 0.6, 0.5
_VERSION = re.compile(r"(?<=\d)_(?=\d)")


@dataclass(frozen=True, slots=True)
class FittedAbilities:
    """The ability of each model, in logits, by its name in lower case; 0 is the mean."""

    by_model: dict[str, float]

    def of(self, model: str) -> float:
        """Return the ability of a recorded model."""
        return self.by_model[model_key(model)]

    def anchors(self) -> tuple[float, float]:
        """Return the abilities of the weak and of the strong model."""
        every = np.array(list(self.by_model.values()))
        weak, strong = np.quantile(every, (_WEAK_QUANTILE, _STRONG_QUANTILE))
        return float(weak), float(strong)


def model_key(model: str) -> str:
    """Return the name by which one model is the same in several sources."""
    name = _VERSION.sub(".", model.rpartition("/")[2].lower())
    return name.removeprefix("meta-")


def fit_abilities(prompts: Sequence[RecordedPrompt]) -> FittedAbilities:
    """Fit all abilities and difficulties by Newton steps on their posterior, one kind at a time."""
    models = sorted({model_key(model) for prompt in prompts for model in prompt.outcomes})
    number = {model: index for index, model in enumerate(models)}
    topics = {label: i for i, label in enumerate(sorted({topic_of(p) for p in prompts}))}
    rows = [
        (i, number[model_key(model)], topics[topic_of(prompt)], outcome.quality)
        for i, prompt in enumerate(prompts)
        for model, outcome in prompt.outcomes.items()
    ]
    item, model, topic = (np.array([row[k] for row in rows], dtype=np.intp) for k in range(3))
    quality = np.array([row[3] for row in rows])
    _, pair = np.unique(model * len(topics) + topic, return_inverse=True)
    effects = [
        _Effect(model, 1.0, _ABILITY_VARIANCE),
        _Effect(topic, -1.0, _LEVEL_VARIANCE),
        _Effect(pair, 1.0, _DEVIATION_VARIANCE),
        _Effect(item, -1.0, _DIFFICULTY_VARIANCE),
    ]
    logits = np.zeros(len(rows))
    for _ in range(_ROUNDS):
        for effect in effects:
            logits = effect.step(logits, quality)
    return FittedAbilities(dict(zip(models, effects[0].value.tolist(), strict=True)))


class _Effect:
    """Values of one kind, each with a normal prior, that add to the logits of its rows."""

    def __init__(self, index: NDArray[np.intp], sign: float, variance: float) -> None:
        self._index, self._sign, self._variance = index, sign, variance
        self.value = np.zeros(int(index.max()) + 1)

    def step(self, logits: Floats, quality: Floats) -> Floats:
        """Take one Newton step of at most 1, and return the logits after it."""
        p = expit(logits)
        n = len(self.value)
        gained = np.bincount(self._index, self._sign * (quality - p), n)
        slope = gained - self.value / self._variance
        curvature = np.bincount(self._index, p * (1 - p), n) + 1 / self._variance
        change = np.clip(slope / curvature, -1.0, 1.0)
        self.value += change
        return logits + self._sign * change[self._index]


def topic_of(prompt: RecordedPrompt) -> str:
    """Return the id up to its last slash: ``mmlu/virology`` for ``mmlu/virology/12``."""
    return prompt.id.rpartition("/")[0] or prompt.benchmark


def anchor_qualities(prompts: Sequence[RecordedPrompt]) -> Floats:
    """Return what a weak and a strong model reach on each prompt, (n, 2), 0-1.

    Each is a mean over all models that answered the prompt, weighted by how near their ability
    is: a mean over several models has less luck in it than one answer. The strong one is at most
    as able as the best model that answered the prompt.
    """
    abilities = fit_abilities(prompts)
    weak, strong = abilities.anchors()
    qualities = np.empty((len(prompts), 2))
    for i, prompt in enumerate(prompts):
        ability = np.array([abilities.of(model) for model in prompt.outcomes])
        quality = np.array([outcome.quality for outcome in prompt.outcomes.values()])
        low = max(weak, ability.min())
        high = min(strong, ability.max())
        near_weak = np.exp(-0.5 * ((ability - low) / _WEAK_WIDTH) ** 2)
        near_strong = np.exp(-0.5 * ((ability - high) / _STRONG_WIDTH) ** 2)
        qualities[i] = (
            near_weak @ quality / near_weak.sum(),
            near_strong @ quality / near_strong.sum(),
        )
    return qualities
