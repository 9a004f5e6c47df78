"""Cross-fitting: predictions on prompts that their predictor was not trained on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from routing.learning.predictor import Floats, Linear, Trees, Words
from routing.training.fitting import Examples, fit_blend, fit_linear, fit_trees, fit_words

Groups = NDArray[np.intp]
Step = Callable[[], None]
"""Called after each fit, for a progress bar."""


@dataclass(frozen=True, slots=True)
class Learners:
    """The three learners before they are blended."""

    trees: Trees
    linear: Linear
    words: Words

    @classmethod
    def fit(cls, examples: Examples, seed: int) -> Learners:
        """Fit the three learners to ``examples``."""
        copied = examples.copied()
        return cls(fit_trees(copied, seed), fit_linear(copied), fit_words(examples))

    def parts(self, examples: Examples) -> Floats:
        """Return the logits of each learner and of the prior, by prompt and anchor, (n, 4, 2)."""
        unit = examples.words.multiply(self.words.idf[None, :].astype(np.float64)).tocsr()
        length = np.sqrt(np.asarray(unit.multiply(unit).sum(axis=1)).ravel())
        words = (unit @ self.words.weight) / np.maximum(length, 1e-9)[:, None] + self.words.base
        return np.stack(
            (
                np.array([self.trees.logits(x) for x in examples.x]),
                np.array([self.linear.logits(x) for x in examples.x]),
                words,
                examples.prior,
            ),
            axis=1,
        )


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


def cross_parts(
    examples: Examples, groups: Groups, seed: int, step: Step, only: Iterable[int] | None = None
) -> Floats:
    """Return each group's parts, from learners fitted on the other groups, shape (n, 4, 2).

    With ``only``, just the prompts of these groups are filled; the rest is ``nan``.
    """
    parts = np.full((len(groups), 4, 2), np.nan)
    for group in sorted(set(groups.tolist()) if only is None else only):
        held_out = groups == group
        learners = Learners.fit(examples.take(~held_out), seed)
        parts[held_out] = learners.parts(examples.take(held_out))
        step()
    return parts


def cross_logits(parts: Floats, quality: Floats, groups: Groups) -> Floats:
    """Return the anchors' logits, (n, 2), each group calibrated on the other groups."""
    logits = np.zeros((len(groups), 2))
    for group in set(groups.tolist()):
        held_out = groups == group
        blend = fit_blend(parts[~held_out], quality[~held_out])
        logits[held_out] = blend.logits(parts[held_out])
    return logits


def transfer_logits(training: Examples, target: Examples, seed: int, folds: int) -> Floats:
    """Return the logits on ``target`` of a predictor trained on ``training``, (n, 2)."""
    groups = random_groups(len(training.x), folds, seed)
    blend = fit_blend(cross_parts(training, groups, seed, lambda: None), training.quality)
    return blend.logits(Learners.fit(training, seed).parts(target))
