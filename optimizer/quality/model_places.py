"""A model's place between the predictor's weak and strong model, from what is published of it."""

from __future__ import annotations

import re
from typing import cast

from providers.abilities import Ability, AbilityTable
from providers.catalogue import ModelSpec
from routing.learning.domains import DOMAINS
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
_SKILLS = {
    "maths": "maths",
    "code": "coding",
    "knowledge": "knowledge",
    "language": "long context",
    "instruction": "instruction",
    "tools": "agentic",
}
"""The skill of published results that each domain of a prompt asks for."""


def place_of(spec: ModelSpec, abilities: AbilityTable, effort: str = "") -> ModelPlace:
    """Return the place by ability; a model of which nothing is published has its tier's, wide.

    One whose name states fewer than a billion parameters is not taken for the tier's usual.
    At an ``effort`` for which it has no results, it has its usual place, wider.
    """
    name = _published_as(spec, abilities, "")
    ability = abilities.ability(name)
    if ability is None:
        usual = tiny_place() if states_tiny_size(spec.id) else tier_place(cast(Tier, spec.tier))
    else:
        above = abilities.above_mean(name)
        by_domain = [above.get(_SKILLS[domain], 0.0) for domain in DOMAINS] if above else ()
        usual = place_between(
            abilities.weak, abilities.strong, ability.mean, ability.width, by_domain
        )
    if not effort:
        return usual
    efforts = places_by_effort(spec, abilities)
    at_effort = place_at_effort(efforts, effort, usual.at, usual.width)
    return at_effort._replace(by_domain=usual.by_domain)


def states_tiny_size(model: str) -> bool:
    """Return whether the model's name states fewer than a billion parameters, as in "-0.5b"."""
    sizes = [float(n) * _BILLIONS[unit] for n, unit in _SIZE.findall(model.lower())]
    return bool(sizes) and max(sizes) < 1


def places_by_effort(spec: ModelSpec, abilities: AbilityTable) -> dict[str, tuple[float, float]]:
    """Return the place and its width for each effort at which the model has results that count."""
    names = [name for name in (spec.able_as, spec.id, spec.snapshot_of) if name]
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
    return abilities.ability(_published_as(spec, abilities, effort), effort)


def _published_as(spec: ModelSpec, abilities: AbilityTable, effort: str) -> str:
    """Return the name under which results of the model count."""
    if spec.able_as:
        return spec.able_as
    if spec.snapshot_of and abilities.ability(spec.id, effort) is None:
        return spec.snapshot_of
    return spec.id
