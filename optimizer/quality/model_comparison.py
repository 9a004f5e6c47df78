"""Which configured models are alike, which are not worth their price, and which is the best."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import combinations

from optimizer.quality.model_places import place_of, published_ability
from providers.abilities import AbilityTable
from providers.catalogue import ModelSpec
from providers.rates import Rates
from routing.learning.places import ModelPlace

_SIMILAR = Decimal("1.25")
"""Prices that differ by no more than this factor are similar."""


@dataclass(frozen=True, slots=True)
class ComparedModel:
    """A model with its place and its price in USD per million tokens.

    The price is that of three tokens of input to one of output, in short requests.
    """

    spec: ModelSpec
    place: ModelPlace
    price: Decimal

    def can_replace(self, other: ComparedModel) -> bool:
        """Return whether it is cheaper, not worse, and can do whatever ``other`` can."""
        return (
            self.price < other.price
            and self.place.at >= other.place.at
            and self.spec.capabilities >= other.spec.capabilities
            and self.spec.context_window >= other.spec.context_window
        )

    def is_twin_of(self, other: ComparedModel) -> bool:
        """Return whether both are as able, within the error, at a similar price."""
        error = math.hypot(self.place.width, other.place.width)
        low, high = sorted((self.price, other.price))
        return abs(self.place.at - other.place.at) <= error and high <= low * _SIMILAR


@dataclass(frozen=True, slots=True)
class ModelComparison:
    """``dominated`` are models, each with the most able one that can replace it."""

    best: ComparedModel | None
    twins: tuple[tuple[ComparedModel, ComparedModel], ...]
    dominated: tuple[tuple[ComparedModel, ComparedModel], ...]


def compared_models(
    specs: Iterable[ModelSpec],
    rates: Callable[[str, str], Rates | None],
    abilities: AbilityTable,
) -> list[ComparedModel]:
    """Return the models that have a published ability and a price."""
    models = []
    for spec in specs:
        priced = rates(spec.provider, spec.id)
        if priced is not None and published_ability(spec, abilities) is not None:
            price = (3 * priced.input.base + priced.output.base) / 4
            models.append(ComparedModel(spec, place_of(spec, abilities), price))
    return models


def model_comparison(models: Sequence[ComparedModel]) -> ModelComparison:
    """Return the most able model (the cheapest of equals), near-twins and dominated models."""
    best = max(models, key=lambda model: (model.place.at, -model.price), default=None)
    twins = tuple(pair for pair in combinations(models, 2) if pair[0].is_twin_of(pair[1]))
    dominated = []
    for model in models:
        better = [other for other in models if other.can_replace(model)]
        if better:
            dominated.append((model, max(better, key=lambda o: (o.place.at, -o.price))))
    return ModelComparison(best, twins, tuple(dominated))


def comparison_lines(comparison: ModelComparison) -> list[str]:
    """Return the comparison as sentences, for people."""
    if comparison.best is None:
        return []
    best = f"{comparison.best.spec.ref} (place {comparison.best.place.at:.2f})"
    lines = [f"Best single model by published results: {best}."]
    if comparison.dominated:
        pairs = (f"{model.spec.ref} ({by.spec.ref})" for model, by in comparison.dominated)
        lines.append(f"Dearer and not better than another (in brackets): {', '.join(pairs)}.")
    if comparison.twins:
        pairs = (f"{one.spec.ref} and {other.spec.ref}" for one, other in comparison.twins)
        lines.append(f"As able within the error, at a similar price: {'; '.join(pairs)}.")
    return lines
