"""Cross-fitting: predictions on prompts that their predictor was not trained on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from routing.learning.general import General
from routing.learning.ground import Ground
from routing.learning.predictor import Experts, Floats, Linear, Words, linear_doubt
from routing.training.fitting import (
    Examples,
    fit_blend,
    fit_experts,
    fit_linear,
    fit_words,
    unit_terms,
)
from routing.training.fitting_ground import USUAL_TRUST, fit_general, fit_ground, places_of

Groups = NDArray[np.intp]
Step = Callable[[], None]
"""Called after each fit, for a progress bar."""

_SURE = 1e-3


@dataclass(frozen=True, slots=True)
class Learners:
    """What is fitted to examples, before it is blended."""

    linear: Linear
    words: Words
    experts: Experts
    ground: Ground
    general: General

    @classmethod
    def fit(
        cls, examples: Examples, trust: Floats = USUAL_TRUST, left_out: Predicted | None = None
    ) -> Learners:
        """Fit the learners to ``examples``; ``trust`` are the weights of the ground's signs.

        ``left_out`` are predictions on the same examples by learners that did not know their
        families: they tell what doubt is usual of an unknown kind.
        """
        linear, words = fit_linear(examples), fit_words(examples)
        parts = _linear_parts(linear, words, examples) if left_out is None else left_out.parts
        weak = parts[:, :2, 0].mean(axis=1)
        return cls(
            linear,
            words,
            fit_experts(examples, linear),
            fit_ground(examples, linear, words, trust),
            fit_general(examples, weak),
        )

    def predict(self, examples: Examples) -> Predicted:
        """Return what each learner expects of ``examples``."""
        signs, shares = places_of(self.ground, self.linear, self.words, examples)
        standard = self.linear.standard(examples.x)
        of_kinds = np.einsum("kaf,nf->nka", self.experts.weight, standard) + self.experts.base
        experts = np.einsum("nk,nka->na", shares, of_kinds)
        linear = _linear_parts(self.linear, self.words, examples)
        parts = np.concatenate((linear, experts[:, None, :]), axis=1)
        general = [
            self.general.qualities(self.general.harder(hard, linear_doubt(own)))
            for hard, own in zip(examples.hardness.tolist(), parts, strict=True)
        ]
        return Predicted(parts, signs, np.array(general))


def _linear_parts(linear: Linear, words: Words, examples: Examples) -> Floats:
    """Return the logits of the two linear learners, (n, 2, 2)."""
    of_structure = linear.standard(examples.x) @ linear.weight.T + linear.base
    of_words = unit_terms(examples.words, words.idf) @ words.weight + words.base
    return np.stack((of_structure, of_words), axis=1)


@dataclass(frozen=True, slots=True)
class Predicted:
    """Predictions on ``n`` prompts, ``nan`` where there are none.

    ``parts`` (n, 3, 2) are the logits of each learner, ``signs`` (n, 2) those of the ground,
    ``general`` (n, 2) the qualities (0-1) that are expected of any prompt.
    """

    parts: Floats
    signs: Floats
    general: Floats

    @classmethod
    def empty(cls, n: int) -> Predicted:
        """Return a place for the predictions on ``n`` prompts."""
        return cls(np.full((n, 3, 2), np.nan), np.full((n, 2), np.nan), np.full((n, 2), np.nan))

    def put(self, where: NDArray[np.bool_], predicted: Predicted) -> None:
        """Fill in the predictions on the prompts ``where``."""
        self.parts[where] = predicted.parts
        self.signs[where] = predicted.signs
        self.general[where] = predicted.general

    def logits(self, trained: Floats, trust: Floats) -> Floats:
        """Return both anchors' logits, (n, 2), from the blended ``trained`` logits (n, 2)."""
        nearness = expit(trust[0] + self.signs @ trust[1:])[:, None] ** 2
        mean = nearness * expit(trained) + (1 - nearness) * self.general
        mean[:, 1] = mean.max(axis=1)
        return logit(np.clip(mean, _SURE, 1 - _SURE))


def random_groups(n: int, count: int, seed: int) -> Groups:
    """Return the group of each of ``n`` prompts: ``count`` random groups of about equal size."""
    groups = np.arange(n) % count
    np.random.default_rng(seed).shuffle(groups)
    return groups


def label_groups(labels: Sequence[str], count: int, seed: int) -> Groups:
    """Return the group of each prompt; prompts of one label are always in the same group."""
    names = sorted(set(labels))
    group_of = dict(zip(names, random_groups(len(names), count, seed), strict=True))
    return np.array([group_of[label] for label in labels])


def cross_predict(
    examples: Examples, groups: Groups, step: Step, only: Iterable[int] | None = None
) -> Predicted:
    """Return predictions on each group, from learners fitted on the other groups.

    With ``only``, just the prompts of these groups are filled; the rest is ``nan``.
    """
    predicted = Predicted.empty(len(groups))
    for group in sorted(set(groups.tolist()) if only is None else only):
        held_out = groups == group
        learners = Learners.fit(examples.take(~held_out))
        predicted.put(held_out, learners.predict(examples.take(held_out)))
        step()
    return predicted


def cross_logits(
    predicted: Predicted, quality: Floats, groups: Groups, trust: Floats = USUAL_TRUST
) -> Floats:
    """Return the anchors' logits, (n, 2), each group calibrated on the other groups."""
    trained = np.zeros((len(groups), 2))
    for group in set(groups.tolist()):
        held_out = groups == group
        blend = fit_blend(predicted.parts[~held_out], quality[~held_out])
        trained[held_out] = blend.logits(predicted.parts[held_out])
    return predicted.logits(trained, trust)


def transfer_logits(
    training: Examples, target: Examples, seed: int, folds: int, trust: Floats = USUAL_TRUST
) -> Floats:
    """Return the logits on ``target`` of a predictor trained on ``training``, (n, 2)."""
    groups = random_groups(len(training.x), folds, seed)
    held_out = cross_predict(training, groups, lambda: None)
    blend = fit_blend(held_out.parts, training.quality)
    predicted = Learners.fit(training).predict(target)
    return predicted.logits(blend.logits(predicted.parts), trust)
