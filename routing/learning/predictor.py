"""Predicts from a prompt alone how well a weak and a strong model would answer it.

Three learners each give a logit per anchor (the weak and the strong model):
boosted trees over the prompt's structure, a heavily regularised linear model
over the same, and a linear model over its words. A fixed prior covers kinds of
prompts that are rare in benchmarks with checkable answers. Their weighted sum,
scaled to be calibrated on prompts not trained on, is ``logit P(answer is good)``.
Any other model is placed between the anchors by its ability, as in item response
theory (Rasch 1960): a difference in ability is a difference in logits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from routing.learning.features import BUCKET_BITS, NAMES, structure, terms
from routing.learning.posterior import expit
from routing.models import Tier
from routing.prompt_text import PromptText

Floats = NDArray[np.float64]
SPLITS = 7
"""Maximum splits in a tree; its leaves, one more, fit the bits of a byte."""
CLIP = 3.0
"""Standard deviations at which a linear feature is clipped."""

_FIRST_LEFT = np.array([(~n & n + 1).bit_length() - 1 & 7 for n in range(256)], dtype=np.intp)
"""The lowest leaf that is still reachable, by the bits of the unreachable leaves."""
_OPTIONS, _CHARACTERS = NAMES.index("options"), NAMES.index("characters")
# Logits added for the weak and the strong model on prompts that offer no options to choose
# from: small models fall behind least in writing and explaining, most in code, mathematics and
# reasoning (Zheng et al. 2023, arXiv 2306.05685, results by category).
_OPEN_PRIOR = {
    "creative": (0.4, 0.2),
    "explanation": (0.4, 0.2),
    "factual": (0.2, 0.1),
    "analysis": (0.2, 0.1),
    "general": (0.2, 0.1),
}
_NO_PRIOR = (0.0, 0.0)
# Longer prompts of these kinds are harder: logits for each e-fold of characters beyond these.
_USUAL_LENGTH = math.log(200)
_LENGTH_PRIOR = (-0.2, -0.1)
_ABILITY: dict[Tier, float] = {"simple": 0.0, "moderate": 0.5, "complex": 1.0}


@dataclass(frozen=True)
class Trees:
    """Boosted trees of both anchors, one after the other, laid out to evaluate all at once.

    For each tree (rows) and split (columns): ``feature``, ``threshold`` and
    ``mask``, the leaves still reachable when the feature exceeds the threshold
    (QuickScorer, Lucchese et al. 2015, doi 10.1145/2766462.2767733).
    ``leaves`` holds the values, shape (trees, SPLITS + 1), ``base`` (2,).
    """

    feature: NDArray[np.intp]
    threshold: Floats
    mask: NDArray[np.uint8]
    leaves: Floats
    base: Floats

    def logits(self, x: Floats) -> Floats:
        """Return the logits of both anchors, shape (2,), for the features of one prompt."""
        # Indexing with take and multiplying by the mask is a quarter faster than np.where.
        applies = x.take(self.feature) > self.threshold
        first = _FIRST_LEFT.take(np.bitwise_or.reduce(applies * self._dropped, axis=1))
        return self.base + self.leaves.take(self._rows + first).reshape(2, -1).sum(axis=1)

    @cached_property
    def _dropped(self) -> NDArray[np.uint8]:
        """Return the leaves that become unreachable when a split applies."""
        return ~self.mask

    @cached_property
    def _rows(self) -> NDArray[np.intp]:
        """Return the index at which each tree's leaves begin."""
        return np.arange(0, self.leaves.size, SPLITS + 1, dtype=np.intp)


@dataclass(frozen=True, slots=True)
class Linear:
    """A linear model of standardised features.

    ``mean`` and ``scale`` have the shape (F,), ``weight`` (2, F), ``base`` (2,).
    """

    mean: Floats
    scale: Floats
    weight: Floats
    base: Floats

    def logits(self, x: Floats) -> Floats:
        """Return the logits of both anchors, shape (2,), for the features of one prompt."""
        standard = (x - self.mean) / self.scale
        return self.base + self.weight @ np.minimum(np.maximum(standard, -CLIP), CLIP)


@dataclass(frozen=True, slots=True)
class Words:
    """A linear model of hashed words and word pairs.

    ``idf`` has the shape (buckets,), ``weight`` (buckets, 2), ``base`` (2,). A prompt's
    terms are weighted ``(1 + ln count) * idf`` and scaled to length 1.
    """

    idf: NDArray[np.float32]
    weight: NDArray[np.float32]
    base: Floats

    def logits(self, text: PromptText) -> Floats:
        """Return the logits of both anchors, shape (2,), for the words of one prompt."""
        buckets, counts = terms(text)
        if not len(buckets):
            return self.base
        value = (1 + np.log(counts)) * self.idf.take(buckets)
        return self.base + (value @ self.weight.take(buckets, axis=0)) / math.sqrt(value @ value)


@dataclass(frozen=True, slots=True)
class Blend:
    """Weights of trees, linear, words, prior (4,); then ``base + slope * sum`` per anchor (2,)."""

    weight: Floats
    base: Floats
    slope: Floats

    def logits(self, parts: Floats) -> Floats:
        """Return the anchors' logits, shape (..., 2), from those of the parts, (..., 4, 2)."""
        return self.base + self.slope * (self.weight @ parts)


@dataclass(frozen=True, slots=True)
class QualityPredictor:
    """A trained predictor.

    ``prior_strength`` is how many observed ratings a prediction weighs. It is
    estimated from the errors of predictions on topics that were not trained on.
    """

    trees: Trees
    linear: Linear
    words: Words
    blend: Blend
    prior_strength: float

    def parts(self, text: PromptText, pattern: str) -> Floats:
        """Return the logits of each learner and of the prior for both anchors, shape (4, 2)."""
        x = structure(text)
        parts = np.empty((4, 2))
        parts[0] = self.trees.logits(x)
        parts[1] = self.linear.logits(x)
        parts[2] = self.words.logits(text)
        parts[3] = open_prior(x, pattern)
        return parts

    def anchors(self, text: PromptText, pattern: str) -> tuple[float, float]:
        """Return the logits that a weak and a strong model answer ``text`` well."""
        weak, strong = self.blend.logits(self.parts(text, pattern)).tolist()
        return weak, strong


def open_prior(x: Floats, pattern: str) -> tuple[float, float]:
    """Return the fixed prior logits of the weak and the strong model for the features ``x``."""
    if x[_OPTIONS] >= 2:
        return _NO_PRIOR
    longer = float(x[_CHARACTERS]) - _USUAL_LENGTH
    weak, strong = _OPEN_PRIOR.get(pattern, _NO_PRIOR)
    return weak + longer * _LENGTH_PRIOR[0], strong + longer * _LENGTH_PRIOR[1]


def logit_of_tier(anchors: tuple[float, float], tier: Tier) -> float:
    """Return logit P(good) of a model of which only its ``tier`` is known."""
    weak, strong = anchors
    return weak + _ABILITY[tier] * (strong - weak)


def quality_gap(anchors: tuple[float, float]) -> float:
    """Return the strong model's expected advantage in quality: the router's score, -1 to 1."""
    weak, strong = anchors
    return expit(strong) - expit(weak)


def shape_errors(predictor: QualityPredictor) -> list[str]:
    """Return the arrays that do not fit this version; empty if the predictor can be used."""
    features, buckets = len(NAMES), 1 << BUCKET_BITS
    trees = predictor.trees
    grid = (len(trees.leaves), SPLITS)
    expected = {
        "trees.feature": (trees.feature, grid),
        "trees.threshold": (trees.threshold, grid),
        "trees.mask": (trees.mask, grid),
        "trees.leaves": (trees.leaves, (len(trees.leaves), SPLITS + 1)),
        "linear.mean": (predictor.linear.mean, (features,)),
        "linear.scale": (predictor.linear.scale, (features,)),
        "linear.weight": (predictor.linear.weight, (2, features)),
        "words.idf": (predictor.words.idf, (buckets,)),
        "words.weight": (predictor.words.weight, (buckets, 2)),
        "blend.weight": (predictor.blend.weight, (4,)),
        "blend.slope": (predictor.blend.slope, (2,)),
        **{
            f"{name}.base": (getattr(predictor, name).base, (2,))
            for name in ("trees", "linear", "words", "blend")
        },
    }
    wrong = [name for name, (array, shape) in expected.items() if array.shape != shape]
    wrong += [name for name, (array, _) in expected.items() if not _usable(array)]
    if len(trees.leaves) % 2:
        wrong.append("trees")
    if trees.feature.size and not 0 <= trees.feature.min() <= trees.feature.max() < features:
        wrong.append("trees.feature")
    if not (math.isfinite(predictor.prior_strength) and predictor.prior_strength > 0):
        wrong.append("prior_strength")
    return wrong


def _usable(array: NDArray[np.generic]) -> bool:
    # A split that never applies has an infinite threshold, so only nan is an error.
    return not np.isnan(array.astype(np.float64)).any()


PARTS = ("trees", "linear", "words", "blend")
"""The predictor's fields that hold arrays, as an artifact stores them."""
assert {field.name for field in fields(QualityPredictor)} == {*PARTS, "prior_strength"}
