"""Where a model lies between the weak and the strong model of the predictor, and how surely.

0 is the weak model's ability, 1 the strong one's. Today's models lie above 1. The further away a
model is, the less a further difference counts, because nothing that was trained on tells it;
a more able model always has the higher place.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from routing.models import Tier

ABOVE, BELOW = 2.0, 1.0
"""No place lies further above 1, or below 0, than this."""
WIDE = 0.5
"""The standard deviation of the place of a model of which nothing is published."""
TIER_PLACES: dict[Tier, float] = {"simple": 0.0, "moderate": 0.5, "complex": 1.0}


class ModelPlace(NamedTuple):
    """A model's place, and the standard deviation of that estimate."""

    at: float
    width: float


def tier_place(tier: Tier) -> ModelPlace:
    """Return the place of a model of which only its tier is known."""
    return ModelPlace(TIER_PLACES[tier], WIDE)


def place_between(weak: float, strong: float, ability: float, width: float) -> ModelPlace:
    """Return the place of an ability with standard deviation ``width``, all in logits."""
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
    return ModelPlace(at, slope * width / scale)
