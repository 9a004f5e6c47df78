"""Where a model lies between the weak and the strong model of the predictor, and how surely.

0 is the weak model's ability, 1 the strong one's. Today's models lie above 1. The further away a
model is, the less a further difference counts, because nothing that was trained on tells it;
a more able model always has the higher place.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import mul
from typing import NamedTuple

from routing.models import Tier

ABOVE, BELOW = 2.0, 1.0
"""No place lies further above 1, or below 0, than this."""
WIDE = 0.5
"""The standard deviation of the place of a model of which nothing is published."""
TIER_PLACES: dict[Tier, float] = {"simple": 0.0, "moderate": 0.5, "complex": 1.0}


class ModelPlace(NamedTuple):
    """A model's place, and the standard deviation of that estimate.

    ``by_domain`` is how far the model lies above it in each domain; empty if nothing tells.
    """

    at: float
    width: float
    by_domain: tuple[float, ...] = ()


def tier_place(tier: Tier) -> ModelPlace:
    """Return the place of a model of which only its tier is known."""
    return ModelPlace(TIER_PLACES[tier], WIDE)


def place_on(at: float, by_domain: Sequence[float], loadings: Sequence[float]) -> float:
    """Return the place of a model on a prompt with these ``loadings``."""
    if not by_domain or not loadings:
        return at
    return at + sum(map(mul, by_domain, loadings))


def place_between(
    weak: float, strong: float, ability: float, width: float, by_domain: Sequence[float] = ()
) -> ModelPlace:
    """Return the place of an ability with standard deviation ``width``, all in logits.

    ``by_domain`` is how much more able the model is in each domain than on average.
    """
    scale = strong - weak
    linear = (ability - weak) / scale
    if linear > 1:
        bent = math.tanh((linear - 1) / ABOVE)
        at, slope = 1 + ABOVE * bent, 1 - bent * bent
    elif linear < 0:
        bent = math.tanh(linear / BELOW)
        at, slope = BELOW * bent, 1 - bent * bent
    else:
        at, slope = linear, 1.0
    steepness = slope / scale
    return ModelPlace(at, steepness * width, tuple(steepness * more for more in by_domain))
