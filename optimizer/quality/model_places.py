"""A model's place between the predictor's weak and strong model, from what is published of it."""

from __future__ import annotations

import re
from typing import cast

from providers.abilities import Ability, AbilityTable
from providers.catalogue import ModelSpec
from routing.learning.places import (
    ModelPlace,
    place_at_effort,
    place_between,
    tier_place,
    tiny_place,
)
from routing.models import Tier

# Millions have two or three digits: "-1m" is the length of a context.
_SIZE = re.compile(r"(?<![a-z0-9.])(\d+(?:\.\d+)?(?=b)|\d{2,3}(?=m))([bm])(?![a-z0-9])")
_BILLIONS = {"b": 1.0, "m": 0.001}


def place_of(spec: ModelSpec, abilities: AbilityTable, effort: str = "") -> ModelPlace:
    """Return the place by ability; a model of which nothing is published has its tier's, wide.

    One whose name states fewer than a billion parameters is not taken for the tier's usual.
    At an ``effort`` for which it has no results, it has its usual place, wider.
    """
    ability = published_ability(spec, abilities)
    if ability is None:
        usual = tiny_place() if states_tiny_size(spec.id) else tier_place(cast(Tier, spec.tier))
    else:
        usual = place_between(abilities.weak, abilities.strong, ability.mean, ability.width)
    if not effort:
        return usual
    return place_at_effort(places_by_effort(spec, abilities), effort, *usual)


def states_tiny_size(model: str) -> bool:
    """Return whether the model's name states fewer than a billion parameters, as in "-0.5b"."""
    sizes = [float(n) * _BILLIONS[unit] for n, unit in _SIZE.findall(model.lower())]
    return bool(sizes) and max(sizes) < 1


def places_by_effort(spec: ModelSpec, abilities: AbilityTable) -> dict[str, tuple[float, float]]:
    """Return the place and its width for each effort at which the model has results that count."""
    names = [spec.id, spec.snapshot_of] if spec.snapshot_of else [spec.id]
    name = next((name for name in names if abilities.results_of(name)), spec.id)
    places = {}
    for effort in abilities.efforts(name):
        ability = abilities.ability_at(name, effort)
        if ability is not None:
            place = place_between(abilities.weak, abilities.strong, ability.mean, ability.width)
            places[effort] = (place.at, place.width)
    return places


def published_ability(spec: ModelSpec, abilities: AbilityTable, effort: str = "") -> Ability | None:
    """Return the model's ability, else that of the model that it is a dated edition of."""
    own = abilities.ability(spec.id, effort)
    if own is None and spec.snapshot_of:
        return abilities.ability(spec.snapshot_of, effort)
    return own
