"""Predictions on prompts that the predictor making them has never seen."""

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
        copied = examples.copied()
        return cls(fit_trees(copied, seed), fit_linear(copied), fit_words(examples))

    def parts(self, examples: Examples) -> Floats:
        """Logits of each learner, and the prior's, for each prompt and anchor, shape (n, 4, 2)."""
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
    """``n`` prompts in ``count`` groups of about equal size, at random."""
    groups = np.arange(n) % count
    np.random.default_rng(seed).shuffle(groups)
    return groups


def grouped(labels: Sequence[str], count: int, seed: int) -> Groups:
    """Groups of whole labels: prompts of one label are never in two groups."""
    names = sorted(set(labels))
    of = dict(zip(names, random_groups(len(names), count, seed), strict=True))
    return np.array([of[label] for label in labels])


def cross_parts(
    examples: Examples, groups: Groups, seed: int, step: Step, only: Iterable[int] | None = None
) -> Floats:
    """Each group's parts by learners fitted on the other groups, shape (n, 4, 2).

    With ``only``, just those groups' prompts; the rest is ``nan``.
    """
    parts = np.full((len(groups), 4, 2), np.nan)
    for group in sorted(set(groups.tolist()) if only is None else only):
        held = groups == group
        parts[held] = Learners.fit(examples.take(~held), seed).parts(examples.take(held))
        step()
    return parts


def cross_logits(parts: Floats, quality: Floats, groups: Groups) -> Floats:
    """The anchors' calibrated logits, each group's calibrated on the other groups, (n, 2)."""
    logits = np.zeros((len(groups), 2))
    for group in set(groups.tolist()):
        held = groups == group
        logits[held] = fit_blend(parts[~held], quality[~held]).logits(parts[held])
    return logits


def transferred(training: Examples, asked: Examples, seed: int, folds: int) -> Floats:
    """Logits on the prompts ``asked`` of a predictor trained on ``training``, (n, 2)."""
    groups = random_groups(len(training.x), folds, seed)
    blend = fit_blend(cross_parts(training, groups, seed, lambda: None), training.quality)
    return blend.logits(Learners.fit(training, seed).parts(asked))
