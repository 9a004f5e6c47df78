"""Fits what tells how near a prompt lies, and what is expected of prompts that lie far away."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, vstack
from sklearn.linear_model import LogisticRegression, Ridge

from routing.learning.general import General
from routing.learning.ground import Ground, shares_of
from routing.learning.predictor import Floats, Linear, Words
from routing.prompt_text import PromptText
from routing.training.everyday import everyday_prompts
from routing.training.fitting import Examples, unit_terms, words_of

_RIDGE = 0.3
"""Added to the variance of each standardised feature, against features that never vary."""
_WORDS_SHRINKAGE = 1.0
_SEEN_TWICE = 2
_EVERYDAY_WEIGHS = 2.0
"""Kinds of prompts that everyday requests weigh as much as."""
_LEAST_RISE = 0.33
"""Of the mean lead, for each standard deviation of hardness."""
_UNKNOWN_LEVEL = 0.55
USUAL_TRUST = np.array([-1.7, 14.9, -0.6])
"""The trust of a ground without families to leave out: that of the shipped predictor."""


def fit_ground(examples: Examples, linear: Linear, words: Words, trust: Floats) -> Ground:
    """Describe the kinds of ``examples``: their words, their mean structure, and its spread."""
    standard = linear.standard(examples.x)
    kinds = sorted(set(examples.kinds.tolist()))
    within = np.zeros((standard.shape[1], standard.shape[1]))
    centres, domains = [], []
    for kind in kinds:
        here = examples.kinds == kind
        centre = standard[here].mean(axis=0)
        away = standard[here] - centre
        within += away.T @ away / max(1, here.sum() - 1) / len(kinds)
        centres.append(centre)
        domains.append(examples.domains[here].mean(axis=0))
    whiten = np.linalg.cholesky(np.linalg.inv(within + _RIDGE * np.eye(len(within)))).T
    weight, base = _kinds_by_words(examples, words, kinds)
    return Ground(whiten, np.array(centres) @ whiten.T, weight, base, np.array(domains), trust)


def _kinds_by_words(
    examples: Examples, words: Words, kinds: list[int]
) -> tuple[NDArray[np.float16], Floats]:
    """Fit a ridge regression of each kind on the words, all kinds with equal weight.

    Everyday requests are of no kind, and weigh as much as :data:`_EVERYDAY_WEIGHS` of them.
    """
    weight = np.zeros((examples.words.shape[1], len(kinds)), dtype=np.float16)
    if len(kinds) < 2:
        return weight, np.ones(len(kinds))
    everyday = _everyday_words()
    every = vstack([examples.words, everyday]).tocsr()
    unit = unit_terms(every, words.idf)
    known = np.flatnonzero(np.asarray((every > 0).sum(axis=0)).ravel() >= _SEEN_TWICE)
    belongs = (examples.kinds[:, None] == np.array(kinds)[None, :]).astype(float)
    counts = belongs.sum(axis=0)
    ridge = Ridge(alpha=_WORDS_SHRINKAGE, solver="sparse_cg", tol=1e-3)
    of_a_kind = len(examples.x) / len(kinds)
    each = np.full(everyday.shape[0], _EVERYDAY_WEIGHS * of_a_kind / everyday.shape[0])
    equal = np.concatenate((of_a_kind * (belongs @ (1 / counts)), each))
    none = np.zeros((everyday.shape[0], len(kinds)))
    ridge.fit(unit[:, known], np.concatenate((belongs, none)), sample_weight=equal)
    weight[known] = ridge.coef_.T
    return weight, np.asarray(ridge.intercept_, dtype=float)


@cache
def _everyday_words() -> csr_matrix:
    return words_of([PromptText.read(prompt) for prompt in everyday_prompts()])


def places_of(
    ground: Ground, linear: Linear, words: Words, examples: Examples
) -> tuple[Floats, Floats]:
    """Return both signs (n, 2) and the kinds' shares (n, k): see :class:`GroundPlace`."""
    unit = unit_terms(examples.words, words.idf)
    scores = np.asarray(unit @ ground.words.astype(np.float64)) + ground.base
    white = linear.standard(examples.x) @ ground.whiten.T
    distances = np.stack([((white - c) ** 2).sum(axis=1) for c in ground.centres], axis=1)
    signs = np.stack((scores.max(axis=1), np.sqrt(distances.min(axis=1))), axis=1)
    return signs, shares_of(scores, distances)


def fit_trust(near: Floats, far: Floats, copies: NDArray[np.intp]) -> Floats:
    """Return the weights (3,) that tell prompts of known kinds from others.

    ``near`` and ``far`` (n, 2) are the signs of the same prompts from a ground that was trained
    on prompts of their kind, and from one that was trained without their family.
    """
    signs = np.concatenate((near, far))
    known = np.concatenate((np.ones(len(near)), np.zeros(len(far))))
    counts = np.concatenate((copies, copies)).astype(float)
    usable = ~np.isnan(signs).any(axis=1)
    centre, spread = signs[usable].mean(axis=0), signs[usable].std(axis=0) + 1e-9
    model = LogisticRegression(C=10.0).fit(
        (signs[usable] - centre) / spread,
        known[usable],
        sample_weight=counts[usable] / counts.mean(),
    )
    slope = model.coef_[0] / spread
    return np.array([float(model.intercept_[0]) - float(slope @ centre), *slope])


def fit_general(examples: Examples, weak_logits: Floats) -> General:
    """Fit both lines by least squares, each benchmark with equal weight.

    ``weak_logits`` (n,) are the weak model's logits by the linear learners, if there are any by
    learners that did not know the prompt's family.

    The lead must not fall with hardness: what is hard for a weak model may be out of reach for
    the strong ones of old benchmarks, and is within reach of today's. How strict the graders of
    an unknown kind are is not known: the weak model does a little more than half of its usual
    prompts well.
    """
    counts = np.bincount(examples.kinds)[examples.kinds]
    weak = _line(examples.hardness, examples.quality[:, 0], 1 / counts)
    lead = _line(examples.hardness, examples.quality[:, 1] - examples.quality[:, 0], 1 / counts)
    mean = float(np.average(examples.hardness, weights=1 / counts))
    least = _LEAST_RISE * max(0.0, lead[0] + lead[1] * mean)
    centre = np.average(weak_logits, weights=1 / counts)
    spread = np.sqrt(np.average((weak_logits - centre) ** 2, weights=1 / counts))
    return General(
        (_UNKNOWN_LEVEL - min(0.0, weak[1]) * mean, min(0.0, weak[1])),
        (lead[0] + (lead[1] - max(lead[1], least)) * mean, max(lead[1], least)),
        (float(centre), float(spread)),
    )


def _line(x: Floats, y: Floats, weight: Any) -> tuple[float, float]:
    """Return the intercept and the slope of the weighted least-squares line."""
    centre, level = np.average(x, weights=weight), np.average(y, weights=weight)
    variance = np.average((x - centre) ** 2, weights=weight)
    if variance <= 0:
        return float(level), 0.0
    slope = np.average((x - centre) * (y - level), weights=weight) / variance
    return float(level - slope * centre), float(slope)
