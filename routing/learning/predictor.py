"""Predicts from a prompt alone how well a weak and a strong model would answer it.

Three learners each give a logit per anchor (the weak and the strong model): a heavily
regularised linear model over the prompt's structure, one over its words, and one over its
structure for each kind of prompt that was trained on, mixed as the prompt belongs to these
kinds. Their weighted sum, scaled to be calibrated on prompts not trained on, is
``logit P(answer is good)``. The nearer a prompt lies to those that were trained on, the more
that counts; the rest is what is expected of any prompt (:mod:`routing.learning.general`).
Any other model is placed between the anchors by its ability, as in item response
theory (Rasch 1960): a difference in ability is a difference in logits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from routing.complexity import score_complexity
from routing.learning.domains import DOMAINS, Loadings, loadings_of
from routing.learning.features import BUCKET_BITS, NAMES, structure, terms
from routing.learning.general import General, everyday_quality, hardness
from routing.learning.ground import Ground
from routing.learning.places import LEAD_BELOW, TIER_PLACES
from routing.learning.posterior import expit, logit
from routing.models import Tier
from routing.prompt_text import PromptText

Floats = NDArray[np.float64]
CLIP = 3.0
"""Standard deviations at which a feature is clipped."""


@dataclass(frozen=True, slots=True)
class Linear:
    """A linear model of standardised features.

    ``mean`` and ``scale`` have the shape (F,), ``weight`` (2, F), ``base`` (2,).
    """

    mean: Floats
    scale: Floats
    weight: Floats
    base: Floats

    def standard(self, x: Floats) -> Floats:
        """Return the standardised features, (..., F), clipped."""
        return np.minimum(np.maximum((x - self.mean) / self.scale, -CLIP), CLIP)

    def logits(self, standard: Floats) -> Floats:
        """Return the logits of both anchors, shape (2,), for the features of one prompt."""
        return self.base + self.weight @ standard


@dataclass(frozen=True, slots=True)
class Experts:
    """A linear model of standardised features for each kind: ``weight`` (k, 2, F), ``base`` (k, 2).

    A prompt's logits are the mean over the kinds that it belongs to.
    """

    weight: Floats
    base: Floats

    def logits(self, standard: Floats, shares: Floats) -> Floats:
        """Return the logits of both anchors, shape (2,), for the features of one prompt."""
        return shares @ (self.base + self.weight @ standard)


@dataclass(frozen=True, slots=True)
class Words:
    """A linear model of hashed words and word pairs.

    ``idf`` has the shape (buckets,), ``weight`` (buckets, 2), ``base`` (2,). A prompt's
    terms are weighted ``(1 + ln count) * idf`` and scaled to length 1.
    """

    idf: NDArray[np.float32]
    weight: NDArray[np.float32]
    base: Floats

    def weighted(self, text: PromptText) -> tuple[NDArray[np.int64], Floats]:
        """Return the buckets of a prompt's terms and their weights, of length 1 in all."""
        buckets, counts = terms(text)
        if not len(buckets):
            return buckets, counts
        value: Floats = (1 + np.log(counts)) * self.idf.take(buckets).astype(np.float64)
        return buckets, value / math.sqrt(value @ value)

    def logits(self, buckets: NDArray[np.int64], value: Floats) -> Floats:
        """Return the logits of both anchors, shape (2,), for the terms of one prompt."""
        if not len(buckets):
            return self.base
        return self.base + value @ self.weight.take(buckets, axis=0)


@dataclass(frozen=True, slots=True)
class Blend:
    """Weights of linear, words, experts (3,); then ``base + slope * sum`` per anchor (2,)."""

    weight: Floats
    base: Floats
    slope: Floats

    def logits(self, parts: Floats) -> Floats:
        """Return the anchors' logits, shape (..., 2), from those of the parts, (..., 3, 2)."""
        return self.base + self.slope * (self.weight @ parts)


@dataclass(frozen=True, slots=True)
class QualityPredictor:
    """A trained predictor.

    ``prior_strength`` is how many ratings of a kind of prompt move its level half of the way.
    ``near_strength`` and ``far_strength`` are how many a prediction of how far models lie apart
    weighs, near the ground that was trained on and elsewhere. They are estimated from the errors
    of predictions on topics and on families of prompts that were not trained on.
    """

    linear: Linear
    words: Words
    experts: Experts
    blend: Blend
    ground: Ground
    general: General
    prior_strength: float
    near_strength: float
    far_strength: float

    def expectation(
        self, text: PromptText, pattern: str, complexity: float | None = None
    ) -> Expectation:
        """Return what is expected of both anchors on ``text``, and how near it lies.

        ``complexity`` (0-1) is that of the prompt; it is computed if it is not given.
        """
        standard = self.linear.standard(structure(text))
        buckets, value = self.words.weighted(text)
        place = self.ground.place(standard, buckets, value)
        parts = np.empty((3, 2))
        parts[0] = self.linear.logits(standard)
        parts[1] = self.words.logits(buckets, value)
        parts[2] = self.experts.logits(standard, place.shares)
        if complexity is None:
            complexity = score_complexity(text).score
        hard = hardness(complexity, pattern)
        nearness = self.ground.nearness(place.score, place.distance)
        known = (place.shares @ self.ground.domains).tolist()
        return mixed(
            self.blend.logits(parts).tolist(),
            self.general.qualities(self.general.harder(hard, linear_doubt(parts))),
            nearness,
            hard,
            loadings_of(pattern, known, nearness),
        )

    def anchors(
        self, text: PromptText, pattern: str, complexity: float | None = None
    ) -> tuple[float, float]:
        """Return the logits that a weak and a strong model answer ``text`` well."""
        return self.expectation(text, pattern, complexity).anchors

    def strength(self, nearness: float) -> float:
        """Return how many ratings a prediction weighs at this nearness (0-1)."""
        return self.far_strength + nearness * (self.near_strength - self.far_strength)


def linear_doubt(parts: Floats) -> float:
    """Return the weak model's logit by the two linear learners, from the parts (3, 2)."""
    return float(parts[0, 0] + parts[1, 0]) / 2


class Expectation(NamedTuple):
    """The logits that a weak and a strong model answer a prompt well.

    ``anchors`` are as benchmarks grade, ``everyday`` as people who use the answer do.
    ``nearness`` (0-1) is how much of them comes from what was trained on. ``loadings`` are
    the prompt's shares of :data:`routing.learning.domains.DOMAINS`.
    """

    anchors: tuple[float, float]
    everyday: tuple[float, float]
    nearness: float
    loadings: Loadings


def mixed(
    trained: tuple[float, float],
    general: tuple[float, float],
    nearness: float,
    hard: float,
    loadings: Loadings = (),
) -> Expectation:
    """Return the mean of both expectations, weighted by nearness.

    ``trained`` are logits, ``general`` probabilities, and ``hard`` is how hard the prompt looks.
    A strong model is never expected to do worse than a weak one. Its lead on everyday work is the
    geometric mean of this lead and of the general rule's: a benchmark that compares answers with
    those of a strong model shows leads that people who use the weak one's never see.
    """
    weak, strong = (
        nearness * expit(near) + (1 - nearness) * far
        for near, far in zip(trained, general, strict=True)
    )
    strong = max(weak, strong)
    lead = math.sqrt((strong - weak) * max(0.0, general[1] - general[0]))
    low, high = everyday_quality(hard, lead)
    everyday = (logit(low), logit(high))
    return Expectation((logit(weak), logit(strong)), everyday, nearness, loadings)


def logit_of_tier(anchors: tuple[float, float], tier: Tier) -> float:
    """Return logit P(good) of a model of which only its ``tier`` is known."""
    return logit_at(anchors, TIER_PLACES[tier])


def logit_at(anchors: tuple[float, float], place: float) -> float:
    """Return logit P(good) of a model at ``place``: 0 is the weak model's, 1 the strong one's."""
    weak, strong = anchors
    return weak + place * (strong - weak if place >= 0 else max(strong - weak, LEAD_BELOW))


def quality_gap(anchors: tuple[float, float]) -> float:
    """Return the strong model's expected advantage in quality: the router's score, -1 to 1."""
    weak, strong = anchors
    return expit(strong) - expit(weak)


def shape_errors(predictor: QualityPredictor) -> list[str]:
    """Return the arrays that do not fit this version; empty if the predictor can be used."""
    features, buckets = len(NAMES), 1 << BUCKET_BITS
    kinds = max(1, len(predictor.ground.centres))
    expected = {
        "linear.mean": (predictor.linear.mean, (features,)),
        "linear.scale": (predictor.linear.scale, (features,)),
        "linear.weight": (predictor.linear.weight, (2, features)),
        "words.idf": (predictor.words.idf, (buckets,)),
        "words.weight": (predictor.words.weight, (buckets, 2)),
        "blend.weight": (predictor.blend.weight, (3,)),
        "blend.slope": (predictor.blend.slope, (2,)),
        "ground.whiten": (predictor.ground.whiten, (features, features)),
        "ground.centres": (predictor.ground.centres, (kinds, features)),
        "ground.words": (predictor.ground.words, (buckets, kinds)),
        "ground.base": (predictor.ground.base, (kinds,)),
        "ground.domains": (predictor.ground.domains, (kinds, len(DOMAINS))),
        "ground.trust": (predictor.ground.trust, (3,)),
        "experts.weight": (predictor.experts.weight, (kinds, 2, features)),
        "experts.base": (predictor.experts.base, (kinds, 2)),
        **{
            f"{name}.base": (getattr(predictor, name).base, (2,))
            for name in ("linear", "words", "blend")
        },
    }
    wrong = [name for name, (array, shape) in expected.items() if array.shape != shape]
    wrong += [name for name, (array, _) in expected.items() if not _usable(array)]
    for name in STRENGTHS:
        strength = getattr(predictor, name)
        if not (math.isfinite(strength) and strength > 0):
            wrong.append(name)
    lines = (*predictor.general.weak, *predictor.general.lead, *predictor.general.usual)
    if not all(map(math.isfinite, lines)):
        wrong.append("general")
    return wrong


def _usable(array: NDArray[np.generic]) -> bool:
    return bool(np.isfinite(array.astype(np.float64)).all())


PARTS = ("linear", "words", "experts", "blend", "ground")
"""The predictor's fields that hold arrays, as an artifact stores them."""
STRENGTHS = ("prior_strength", "near_strength", "far_strength")
assert {field.name for field in fields(QualityPredictor)} == {*PARTS, "general", *STRENGTHS}
