"""Where a model lies between the weak and the strong model of the predictor, and how surely.

0 is the weak model's ability, 1 the strong one's. Today's models lie above 1. The further away a
model is, the less a further difference counts, because nothing that was trained on tells it;
a more able model always has the higher place.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from operator import mul
from typing import NamedTuple

from routing.models import Tier

ABOVE, BELOW = 2.0, 1.0
"""No place lies further above 1, or below 0, than this."""
LEAD_BELOW = 1.86
"""Below the weak model, a place counts at least as much (in logits) as the weak and the strong
model lie apart in ability. That able models do easy prompts alike says nothing of tiny ones."""
WIDE = 0.5
"""The standard deviation of the place of a model of which nothing is published."""
EFFORT_WIDTH = 0.2
"""How far the places of one model lie apart by its effort of reasoning, as a standard deviation:
those of gpt-oss-120b at low, medium and high effort, and of two models at the greatest effort."""
TINY_PLACE = -0.5
"""Of a model below a billion parameters of which nothing is published: between the weak model, at
0, and the smallest of which something is, SmolLM2-135M-Instruct, at -0.88 by its MMLU."""
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


def tiny_place() -> ModelPlace:
    """Return the place of a model of which only is known that it is tiny, whatever its tier."""
    return ModelPlace(TINY_PLACE, WIDE)


def place_at_effort(
    efforts: Mapping[str, tuple[float, float]], effort: str, place: float, width: float
) -> ModelPlace:
    """Return the place at an effort; where it is not in ``efforts``, the usual one, wider."""
    known = efforts.get(effort)
    if known is not None:
        return ModelPlace(*known)
    return ModelPlace(place, math.hypot(width, EFFORT_WIDTH))


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
