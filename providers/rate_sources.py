"""Where the rates of a model come from: what operators set, the catalogue, and the price table.

The first of these that knows the model counts. Rules of the catalogue change what the table says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Literal

from providers.catalogue import Catalogue, ModelSpec
from providers.dated_prices import DatedPrices
from providers.fees import NO_FEES, fees_of, provider_fees
from providers.known_models import KnownModels, editions_of, names_with_its_price, table_entry
from providers.listed_prices.types import ModelInfo, TieredPrices
from providers.price_rules import PriceRule, apply_rules
from providers.price_table import BATCH, BATCH_FACTOR, ListedPrices, listed_prices, variant_of
from providers.rates import Rate, Rates, rates_by_unit, rates_of

PriceSource = Literal["set here", "catalogue", "genai-prices", "unknown"]


class RateSources:
    """Looks up the rates of models; it keeps no result.

    The price of a model that is in no catalogue is the price table's. A snapshot of a
    catalogue's model has that model's price, unless it has one of its own.
    """

    def __init__(self, catalogue: Catalogue, models: KnownModels) -> None:
        self._catalogue = catalogue
        self._models = models
        self.dated = DatedPrices()
        """What operators set for certain days."""

    def look_up(
        self, provider: str, model: str, at: datetime, served: tuple[str, str, str]
    ) -> Rates | None:
        """Return the rates at ``at`` of a call served in this variant, ``None`` if unknown.

        ``served`` are its service tier, speed and geography, named as in
        :class:`providers.completion.Usage`.
        """
        spec = self._models.find(provider, model)
        own = self._set_here(provider, model, at)
        agreed = own is not None
        if own is None and spec is not None:
            own = spec.price
        owner, info = self._catalogue.providers.get(provider), self.listed(provider, model)
        if owner is not None and owner.geography and not served[2]:
            served = (*served[:2], owner.geography)
        listed = standard = None
        variant = variant_of(*served[:2])
        if owner is not None and info is not None:
            listed = standard = listed_prices(owner.prices, info, at, variant)
            if variant:
                standard = listed_prices(owner.prices, info, at, {})
        if own is not None:
            fees = provider_fees(owner.prices) if owner is not None else NO_FEES
            rates = replace(rates_of(own), fees=fees)
            if variant == BATCH and listed is None:
                rates = rates.times(BATCH_FACTOR)
            else:
                rates = _own_rates(rates, listed, standard)
            rates = replace(rates, fees=fees_of(own, rates.fees))
        elif listed is None:
            return self._by_rules_alone(provider, model, spec, at, served)
        elif "output" not in listed.by_kind and (spec is None or spec.kind == "chat"):
            return None
        else:
            rates = _listed_rates(listed)
        rules = self._rules_for(provider, model, spec)
        return apply_rules(rules, rates, at, served, factors_only=agreed) if rules else rates

    def source(self, provider: str, model: str, at: datetime) -> PriceSource:
        """Return where the rates at ``at`` come from, if there are any."""
        if self._set_here(provider, model, at) is not None:
            return "set here"
        spec = self._models.find(provider, model)
        if (spec is not None and spec.price is not None) or self.listed(provider, model) is None:
            return "catalogue"
        return "genai-prices"

    def listed(self, provider: str, model: str) -> ModelInfo | None:
        """Return the entry of the price table for the model, or for the one it is a snapshot of."""
        owner = self._catalogue.providers.get(provider)
        if owner is None:
            return None
        spec = self._models.find(provider, model)
        for name in (model,) if spec is None else names_with_its_price(spec):
            if info := table_entry(owner, name):
                return info
        return None

    def _set_here(self, provider: str, model: str, at: datetime) -> Mapping[str, Decimal] | None:
        """Return the price that operators set for the model, or for the one it is a snapshot of."""
        spec = self._models.find(provider, model)
        for name in (model,) if spec is None else names_with_its_price(spec):
            dated = self.dated.on(provider, name, at.astimezone(UTC).date())
            if dated is not None:
                return dated
        return None

    def _by_rules_alone(
        self,
        provider: str,
        model: str,
        spec: ModelSpec | None,
        at: datetime,
        served: tuple[str, str, str],
    ) -> Rates | None:
        """Return the rates of a model that the table does not know, ``None`` without a rule."""
        rules = self._rules_for(provider, model, spec)
        for place, rule in enumerate(rules):
            if rule.is_whole and rule.holds(at, *served):
                assert rule.prices is not None
                owner = self._catalogue.providers[provider]
                fees = fees_of(rule.prices, provider_fees(owner.prices))
                rates = replace(rates_of(rule.prices), fees=fees)
                return apply_rules(rules[place + 1 :], rates, at, served)
        return None

    def _rules_for(self, provider: str, model: str, spec: ModelSpec | None) -> list[PriceRule]:
        # A rule for a model is one for its snapshots, too.
        names = {*editions_of(model), *(names_with_its_price(spec) if spec is not None else ())}
        return [
            rule
            for rule in self._catalogue.price_rules
            if rule.provider == provider and rule.is_for(names)
        ]


def _listed_rates(listed: ListedPrices) -> Rates:
    rates = rates_by_unit(
        {kind: _rate(price) for kind, price in listed.by_kind.items()}, listed.fees
    )
    return rates if listed.factor is None else rates.times(listed.factor)


def _own_rates(own: Rates, listed: ListedPrices | None, standard: ListedPrices | None) -> Rates:
    """Return rates set here, with the fees of the price table.

    They are those of the standard variant; another differs from it as it does in the table.
    """
    if listed is None:
        return own
    own = replace(own, fees=listed.fees)
    if standard is None or listed is standard:
        return own
    variant, usual = _listed_rates(listed).by_unit(), _listed_rates(standard).by_unit()
    kinds = {
        unit: rate.times(variant[unit].base / usual[unit].base)
        for unit, rate in own.by_unit().items()
        if unit in variant and unit in usual and usual[unit].base
    }
    return own.with_units(kinds)


def _rate(price: Decimal | TieredPrices) -> Rate:
    if isinstance(price, Decimal):
        return Rate(price)
    return Rate(price.base, tuple((tier.start, tier.price) for tier in price.tiers))
