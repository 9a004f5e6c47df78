"""Fits the predictor's learners to recorded outcomes. Needs scikit-learn; routing does not.

The learners are linear models so heavily regularised that each feature gets about the weight
it would have alone: these work best on prompts that were not trained on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression, Ridge

from routing.analysis import analyze_prompt
from routing.learning.features import BUCKET_BITS, structure, terms
from routing.learning.general import hardness
from routing.learning.predictor import CLIP, Blend, Experts, Floats, Linear, Words
from routing.prompt_text import PromptText

BLEND = np.array([0.2, 0.2, 0.6])
"""Linear, words, experts. Fixed, as weights fitted within a benchmark favour its words."""

_NEWTON_STEPS = 4
_LEAST_VARIANCE = 0.03
_MOST_LOGIT = 6.0
_EXPERT_SHRINKAGE = 300.0
_LINEAR_SHRINKAGE = 0.02
_WORDS_SHRINKAGE = 10.0
_SEEN_TWICE = 2
_LOGITS = 4.0


@dataclass(frozen=True, slots=True)
class Examples:
    """``n`` prompts as features, with both anchors' qualities.

    ``x`` is (n, features), ``words`` (n, buckets) of ``1 + ln count``, and
    ``quality`` (n, 2), each 0-1: the weak model's, the strong model's.
    ``hardness`` (n,) is how hard each prompt looks, ``domains`` (n, domains) what it asks for,
    ``kinds`` (n,) the number of its benchmark, and ``copies`` (n,) is how often each prompt counts
    in fitting.
    """

    x: Floats
    words: csr_matrix
    quality: Floats
    hardness: Floats
    domains: Floats
    kinds: NDArray[np.intp]
    copies: NDArray[np.intp]

    @classmethod
    def of(
        cls,
        prompts: Sequence[str],
        quality: Floats,
        domains: Floats,
        kinds: NDArray[np.intp],
        copies: NDArray[np.intp],
    ) -> Examples:
        """Return the features of ``prompts`` with their qualities and weights."""
        analyses = [analyze_prompt(prompt) for prompt in prompts]
        texts = [PromptText.read(prompt) for prompt in prompts]
        return cls(
            np.array([structure(text) for text in texts]),
            words_of(texts),
            quality,
            np.array([hardness(a.complexity, a.pattern) for a in analyses]),
            domains,
            kinds,
            copies,
        )

    def take(self, chosen: NDArray[Any]) -> Examples:
        """Return the examples chosen by indices or by a mask."""
        return Examples(*(getattr(self, field.name)[chosen] for field in fields(self)))


def words_of(texts: Sequence[PromptText]) -> csr_matrix:
    """Return ``1 + ln count`` of the terms of each text, (n, buckets)."""
    rows = [terms(text) for text in texts]
    return csr_matrix(
        (
            np.concatenate([1 + np.log(counts) for _, counts in rows]),
            np.concatenate([buckets for buckets, _ in rows]),
            np.cumsum([0, *(len(buckets) for buckets, _ in rows)]),
        ),
        shape=(len(rows), 1 << BUCKET_BITS),
    )


def fit_linear(examples: Examples) -> Linear:
    """Fit a ridge regression; its shrinkage is undone in size, not in direction."""
    mean, spread = examples.x.mean(axis=0), examples.x.std(axis=0)
    scale = np.where(spread > 1e-9, spread, 1.0)
    standard = np.clip((examples.x - mean) / scale, -CLIP, CLIP)
    weight, base = np.zeros((2, examples.x.shape[1])), np.zeros(2)
    shrinkage = _LINEAR_SHRINKAGE * float(examples.copies.sum())
    for anchor in range(2):
        target, level = _centred(examples, anchor)
        ridge = Ridge(alpha=shrinkage).fit(standard, target, sample_weight=examples.copies)
        raw = standard @ ridge.coef_
        size, centre = _size(raw, target, examples.copies)
        weight[anchor] = ridge.coef_ * size
        base[anchor] = level - size * centre
    return Linear(mean, scale, weight, base)


def fit_words(examples: Examples) -> Words:
    """Fit a ridge regression on tf-idf; a term seen in only one prompt gets no weight."""
    count = np.asarray((examples.words > 0).sum(axis=0)).ravel()
    idf = (np.log((1 + len(examples.x)) / (1 + count)) + 1).astype(np.float16).astype(np.float64)
    unit = unit_terms(examples.words, idf)
    known = np.flatnonzero(count >= _SEEN_TWICE)
    weight, base = np.zeros((1 << BUCKET_BITS, 2), dtype=np.float32), np.zeros(2)
    for anchor in range(2):
        target, level = _centred(examples, anchor)
        ridge = Ridge(alpha=_WORDS_SHRINKAGE, solver="sparse_cg", tol=1e-4)
        ridge.fit(unit[:, known], target, sample_weight=examples.copies)
        weight[known, anchor] = ridge.coef_
        base[anchor] = level + float(ridge.intercept_)
    return Words(idf.astype(np.float32), weight, base)


def fit_experts(examples: Examples, linear: Linear) -> Experts:
    """Fit a ridge logistic regression to each kind, by Newton steps (IRLS)."""
    kinds = sorted(set(examples.kinds.tolist()))
    standard = linear.standard(examples.x)
    weight = np.zeros((len(kinds), 2, standard.shape[1]))
    base = np.zeros((len(kinds), 2))
    for row, kind in enumerate(kinds):
        here = examples.kinds == kind
        for anchor in range(2):
            weight[row, anchor], base[row, anchor] = _ridge_logistic(
                standard[here], examples.quality[here, anchor]
            )
    return Experts(weight, base)


def _ridge_logistic(x: Floats, quality: Floats) -> tuple[Floats, float]:
    """Return the weights and the intercept; the intercept is not shrunk."""
    least = 1 / (len(quality) + 2)
    level = float(logit(min(1 - least, max(least, float(quality.mean())))))
    if not np.ptp(quality):
        return np.zeros(x.shape[1]), level
    logits = np.full(len(quality), level)
    for _ in range(_NEWTON_STEPS):
        p = expit(logits)
        variance = np.maximum(p * (1 - p), _LEAST_VARIANCE)
        ridge = Ridge(alpha=_EXPERT_SHRINKAGE)
        ridge.fit(x, logits + (quality - p) / variance, sample_weight=variance)
        logits = np.clip(ridge.predict(x), -_MOST_LOGIT, _MOST_LOGIT)
    return ridge.coef_, float(ridge.intercept_)


def _centred(examples: Examples, anchor: int) -> tuple[Floats, float]:
    """Return a model's qualities around their mean, on the scale of logits, and the mean's logit.

    Near one half, four times a difference in probability is the difference in logits.
    """
    quality = examples.quality[:, anchor]
    mean = float(np.average(quality, weights=examples.copies))
    least = 1 / (len(quality) + 2)
    return _LOGITS * (quality - mean), float(logit(min(1 - least, max(least, mean))))


def _size(raw: Floats, target: Floats, copies: NDArray[np.intp]) -> tuple[float, float]:
    """Return the factor that makes ``raw`` as large as ``target`` asks, and the mean of ``raw``."""
    centre = float(np.average(raw, weights=copies))
    spread = float(np.average((raw - centre) ** 2, weights=copies))
    if spread <= 0:
        return 0.0, centre
    return float(np.average((raw - centre) * target, weights=copies)) / spread, centre


def unit_terms(words: csr_matrix, idf: NDArray[Any]) -> csr_matrix:
    """Return the weighted terms of each prompt, (n, buckets), each row of length 1."""
    weighted = words.multiply(idf[None, :].astype(np.float64)).tocsr()
    length = np.sqrt(np.asarray(weighted.multiply(weighted).sum(axis=1)).ravel())
    return weighted.multiply(1 / np.maximum(length, 1e-9)[:, None]).tocsr()


def fit_blend(parts: Floats, quality: Floats) -> Blend:
    """Fit the scale of the blended logits so that they are calibrated (Platt 1999).

    ``parts``, (n, 3, 2), must come from prompts not trained on; ``quality`` is (n, 2).
    """
    raw = Blend(BLEND, np.zeros(2), np.ones(2)).logits(parts)
    base, slope = np.zeros(2), np.zeros(2)
    for anchor in range(2):
        size, base[anchor] = _logistic(raw[:, anchor : anchor + 1], quality[:, anchor], 1e3)
        # A negative slope would reverse every score; zero means that prompts carry no signal.
        slope[anchor] = max(0.0, float(size[0]))
    return Blend(BLEND, base, slope)


def _logistic(x: Any, quality: Floats, c: float) -> tuple[Floats, float]:
    rows, y, weight = _binary(x, quality)
    if len(np.unique(y)) < 2:
        return np.zeros(x.shape[1]), _certain_logit(y)
    model = LogisticRegression(C=c, max_iter=1000).fit(rows, y, sample_weight=weight)
    return model.coef_[0], float(model.intercept_[0])


def _certain_logit(y: NDArray[np.int8]) -> float:
    """Return the logit for outcomes that are all equal: as if there were one of the other kind."""
    logit = float(np.log(len(y) + 1))
    return logit if y[0] else -logit


def _binary(x: Any, quality: Floats) -> tuple[Any, NDArray[np.int8], Floats | None]:
    """Return graded outcomes as weighted binary ones: 0.7 is 0.7 of a right and 0.3 of a wrong.

    Weights are ``None`` if every outcome is fully right or wrong, which fits much faster.
    """
    if np.isin(quality, (0.0, 1.0)).all():
        return x, quality.astype(np.int8), None
    rows = np.concatenate((np.flatnonzero(quality > 0), np.flatnonzero(quality < 1)))
    y = np.concatenate(
        (np.ones((quality > 0).sum(), np.int8), np.zeros((quality < 1).sum(), np.int8))
    )
    weight = np.concatenate((quality[quality > 0], 1 - quality[quality < 1]))
    return x[rows], y, weight
