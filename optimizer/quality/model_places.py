"""A model's place between the predictor's weak and strong model, from what is published of it."""

from __future__ import annotations

from typing import cast

from providers.abilities import Ability, AbilityTable
from providers.catalogue import ModelSpec
from routing.learning.places import ModelPlace, place_between, tier_place
from routing.models import Tier


def place_of(spec: ModelSpec, abilities: AbilityTable, effort: str = "") -> ModelPlace:
    """Return the place by ability; a model of which nothing is published has its tier's, wide."""
    ability = published_ability(spec, abilities, effort)
    if ability is None:
        return tier_place(cast(Tier, spec.tier))
    return place_between(abilities.weak, abilities.strong, ability.mean, ability.width)


def published_ability(spec: ModelSpec, abilities: AbilityTable, effort: str = "") -> Ability | None:
    """Return the model's ability, else that of the model that it is a dated edition of."""
    own = abilities.ability(spec.id, effort)
    if own is None and spec.snapshot_of:
        return abilities.ability(spec.snapshot_of, effort)
    return own
