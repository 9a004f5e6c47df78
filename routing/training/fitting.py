"""Fits the predictor's learners to recorded outcomes. Needs scikit-learn; routing does not.

The learners are chosen to work on kinds of prompts not seen in training: few and
shallow trees, and a linear model so heavily regularised that each feature gets
about the weight it would have alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

from routing.analysis import analyze_prompt
from routing.learning.features import BUCKET_BITS, structure, terms
from routing.learning.predictor import (
    CLIP,
    SPLITS,
    Blend,
    Floats,
    Linear,
    Trees,
    Words,
    open_prior,
)
from routing.prompt_text import PromptText

BLEND = np.array([0.4, 0.3, 0.3, 1.0])
"""Trees, linear, words, prior. Fixed, as weights fitted within a benchmark favour its words."""

_ROUNDS = 60
_LEARNING_RATE = 0.04
_BAGS = 3
_LINEAR_C = 3e-4
_WORDS_C = 0.5
_SEEN_TWICE = 2


@dataclass(frozen=True, slots=True)
class Examples:
    """``n`` prompts as features, with both anchors' qualities.

    ``x`` is (n, features), ``words`` (n, buckets) of ``1 + ln count``, and
    ``quality`` (n, 2), each 0-1: the weak model's, the strong model's.
    ``prior`` (n, 2) holds the logits of the fixed prior for a prompt's kind, and
    ``copies`` (n,) is how often each prompt counts in fitting.
    """

    x: Floats
    words: csr_matrix
    quality: Floats
    prior: Floats
    copies: NDArray[np.intp]

    @classmethod
    def of(cls, prompts: Sequence[str], quality: Floats, copies: NDArray[np.intp]) -> Examples:
        """Return the features of ``prompts`` with their qualities and weights."""
        texts = [PromptText.read(prompt) for prompt in prompts]
        rows = [terms(text) for text in texts]
        x = np.array([structure(text) for text in texts])
        patterns = [analyze_prompt(prompt).pattern for prompt in prompts]
        return cls(
            x,
            csr_matrix(
                (
                    np.concatenate([1 + np.log(counts) for _, counts in rows]),
                    np.concatenate([buckets for buckets, _ in rows]),
                    np.cumsum([0, *(len(buckets) for buckets, _ in rows)]),
                ),
                shape=(len(rows), 1 << BUCKET_BITS),
            ),
            quality,
            np.array([open_prior(row, kind) for row, kind in zip(x, patterns, strict=True)]),
            copies,
        )

    def take(self, chosen: NDArray[Any]) -> Examples:
        """Return the examples chosen by indices or by a mask."""
        return Examples(*(getattr(self, field.name)[chosen] for field in fields(self)))

    def copied(self) -> Examples:
        """Return the examples with each prompt repeated as often as it counts."""
        return self.take(np.repeat(np.arange(len(self.x)), self.copies))


def fit_trees(examples: Examples, seed: int) -> Trees:
    """Fit bags of boosted trees (Friedman 2001; Newton steps on the log loss), averaged."""
    rows: list[tuple[NDArray[Any], ...]] = []
    base = np.zeros(2)
    for anchor in range(2):
        x, y, weight = _binary(examples.x, examples.quality[:, anchor])
        if len(np.unique(y)) < 2:
            # All outcomes are equal: only the constant is fitted, and no tree can split.
            base[anchor] = _certain_logit(y)
            rows += [_row(_STUMP, 1)] * (_BAGS * _ROUNDS)
            continue
        for bag in range(_BAGS):
            model = HistGradientBoostingClassifier(
                learning_rate=_LEARNING_RATE,
                max_iter=_ROUNDS,
                max_leaf_nodes=SPLITS + 1,
                min_samples_leaf=min(40, max(2, len(examples.x) // 20)),
                l2_regularization=10.0,
                max_features=0.2,
                early_stopping=False,
                random_state=seed + bag,
            ).fit(x, y, sample_weight=weight)
            # No public API gives the trees; the release is pinned and a test compares outputs.
            rows += [_row(stage[0].nodes, _BAGS) for stage in model._predictors]
            # The model's constant is its output minus the sum of its trees.
            tree_sum = sum(_leaf_value(stage[0].nodes, x[0]) for stage in model._predictors)
            base[anchor] += (float(model.decision_function(x[:1])[0]) - tree_sum) / _BAGS
    feature, threshold, mask, leaves = (np.stack(column) for column in zip(*rows, strict=True))
    return Trees(feature, threshold, mask, leaves, base)


def fit_linear(examples: Examples) -> Linear:
    """Fit a logistic regression; its shrinkage is undone in size, not in direction."""
    mean, spread = examples.x.mean(axis=0), examples.x.std(axis=0)
    scale = np.where(spread > 1e-9, spread, 1.0)
    standard = np.clip((examples.x - mean) / scale, -CLIP, CLIP)
    weight, base = np.zeros((2, examples.x.shape[1])), np.zeros(2)
    for anchor in range(2):
        quality = examples.quality[:, anchor]
        coefficients, _ = _logistic(standard, quality, _LINEAR_C)
        size, base[anchor] = _logistic((standard @ coefficients)[:, None], quality, 1e3)
        weight[anchor] = coefficients * size[0]
    return Linear(mean, scale, weight, base)


def fit_words(examples: Examples) -> Words:
    """Fit a logistic regression on tf-idf; a term seen in only one prompt gets no weight."""
    count = np.asarray((examples.words > 0).sum(axis=0)).ravel()
    idf = (np.log((1 + len(examples.x)) / (1 + count)) + 1).astype(np.float16).astype(np.float64)
    weighted = examples.words.multiply(idf[None, :]).tocsr()
    length = np.sqrt(np.asarray(weighted.multiply(weighted).sum(axis=1)).ravel())
    unit = weighted.multiply(1 / np.maximum(length, 1e-9)[:, None]).tocsr()
    known = np.flatnonzero(count >= _SEEN_TWICE)
    weight, base = np.zeros((1 << BUCKET_BITS, 2), dtype=np.float32), np.zeros(2)
    for anchor in range(2):
        coefficients, base[anchor] = _logistic(
            unit[:, known], examples.quality[:, anchor], _WORDS_C
        )
        weight[known, anchor] = coefficients
    return Words(idf.astype(np.float32), weight, base)


def fit_blend(parts: Floats, quality: Floats) -> Blend:
    """Fit the scale of the blended logits so that they are calibrated (Platt 1999).

    ``parts``, (n, 4, 2), must come from prompts not trained on; ``quality`` is (n, 2).
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


def _row(nodes: NDArray[Any], bags: int) -> tuple[NDArray[Any], ...]:
    """Return one tree as :class:`Trees` stores it."""
    feature = np.zeros(SPLITS, dtype=np.intp)
    threshold = np.full(SPLITS, np.inf)
    mask = np.full(SPLITS, 255, dtype=np.uint8)
    leaves = np.zeros(SPLITS + 1)
    splits, reached = 0, 0

    def walk(index: int) -> int:
        """Return the bits of the leaves under the node ``index``, left to right."""
        nonlocal splits, reached
        node = nodes[index]
        if node["is_leaf"]:
            leaves[reached] = node["value"] / bags
            reached += 1
            return 1 << (reached - 1)
        here, splits = splits, splits + 1
        left = walk(node["left"])
        feature[here], threshold[here] = node["feature_idx"], node["num_threshold"]
        mask[here] = 255 & ~left
        return left | walk(node["right"])

    walk(0)
    return feature, threshold, mask, leaves


_STUMP = np.array([(1, 0.0)], dtype=[("is_leaf", np.uint8), ("value", np.float64)])
"""A tree with a single leaf that adds nothing."""


def _leaf_value(nodes: NDArray[Any], x: Floats) -> float:
    node = nodes[0]
    while not node["is_leaf"]:
        below = x[node["feature_idx"]] <= node["num_threshold"]
        node = nodes[node["left"] if below else node["right"]]
    return float(node["value"])
