"""A model's place between the predictor's weak and strong model, from what is published of it."""

from __future__ import annotations

from typing import cast

from providers.abilities import Ability, AbilityTable
from providers.catalogue import ModelSpec
from routing.learning.domains import DOMAINS
from routing.learning.places import ModelPlace, place_between, tier_place
from routing.models import Tier

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
    """Return the place by ability; a model of which nothing is published has its tier's, wide."""
    ability = published_ability(spec, abilities, effort)
    if ability is None:
        return tier_place(cast(Tier, spec.tier))
    above = abilities.above_mean(_published_as(spec, abilities, effort), effort)
    by_domain = [above.get(_SKILLS.get(domain, ""), 0.0) for domain in DOMAINS] if above else ()
    return place_between(abilities.weak, abilities.strong, ability.mean, ability.width, by_domain)


def published_ability(spec: ModelSpec, abilities: AbilityTable, effort: str = "") -> Ability | None:
    """Return the model's ability, else that of the model that it is a dated edition of."""
    return abilities.ability(_published_as(spec, abilities, effort), effort)


def _published_as(spec: ModelSpec, abilities: AbilityTable, effort: str) -> str:
    """Return the name under which results of the model count."""
    if spec.snapshot_of and abilities.ability(spec.id, effort) is None:
        return spec.snapshot_of
    return spec.id
