"""How near a prompt lies to those that a predictor was trained on, and to which kind of them.

A predictor is right about kinds of prompts that it has seen, and worse than a simple rule about
others. Two signs tell them apart: whether the prompt's words are those of a kind that was trained
on, and whether its structure is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
WORDS_SHARPNESS, DISTANCE_SHARPNESS = 15.0, 1 / 15
"""How much a score by words, and a squared distance, count when a prompt is given to a kind."""


class GroundPlace(NamedTuple):
    """Where a prompt lies.

    ``score`` is the greatest score of a kind by its words, about 1 for a sure one, ``distance``
    the least distance of its structure. ``shares`` (k,) say to which kinds it belongs, 1 in all.
    """

    score: float
    distance: float
    shares: Floats


@dataclass(frozen=True, slots=True)
class Ground:
    """The ``k`` kinds of prompts that were trained on.

    ``whiten`` (F, F) makes the spread of standardised features within a kind equal in all
    directions, and ``centres`` (k, F) are the kinds' means after that. ``words`` (buckets, k)
    and ``base`` (k,) score each kind by a prompt's words. ``domains`` (k, domains) are the mean
    loadings of each kind's prompts. ``trust`` (3,) holds the base and the
    weights of score and distance.
    """

    whiten: Floats
    centres: Floats
    words: NDArray[np.float16]
    base: Floats
    domains: Floats
    trust: Floats

    def place(self, standard: Floats, buckets: NDArray[np.int64], value: Floats) -> GroundPlace:
        """Return where a prompt lies.

        ``standard`` (F,) are its standardised features, ``buckets`` and ``value`` its words'
        buckets and weights, of length 1 in all.
        """
        scores = self.base
        if len(buckets):
            scores = scores + value @ self.words.take(buckets, axis=0)
        away = self.centres - self.whiten @ standard
        distances = np.einsum("kf,kf->k", away, away)
        shares = shares_of(scores, distances)
        return GroundPlace(float(scores.max()), math.sqrt(float(distances.min())), shares)

    def nearness(self, score: float, distance: float) -> float:
        """Return how far the predictor can be trusted, 0-1, from both signs.

        It is the square of the probability that the prompt is of a kind that was trained on,
        because a predictor that is wrong on a new kind costs more than a general rule where it
        could be trusted.
        """
        base, of_score, of_distance = self.trust.tolist()
        z = base + of_score * score + of_distance * distance
        return (1 + math.exp(-max(-30.0, min(30.0, z)))) ** -2


def shares_of(scores: Floats, distances: Floats) -> Floats:
    """Return the kinds' shares, (..., k), from their scores and squared distances, (..., k)."""
    sure = WORDS_SHARPNESS * scores - DISTANCE_SHARPNESS * distances
    weights: Floats = np.exp(sure - sure.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)
