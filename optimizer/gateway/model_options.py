"""The models that can be chosen now: those of configured providers, at today's prices."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from optimizer.quality.model_places import place_of, places_by_effort
from providers.abilities import AbilityTable
from providers.catalogue import Catalogue, ModelSpec
from providers.effort_levels import NO_EFFORTS, Efforts
from providers.http.wire import WireClient
from providers.known_models import KnownModels, passed_on
from providers.pricing import PriceBook
from providers.rates import Rates
from providers.resilience import ResilientCaller
from routing.models import LongInputPrices, ModelOption, ModelRef

_KEPT_NAMED = 1_000

_NOTHING: Mapping[tuple[str, str], float] = {}


class AvailableModels:
    """The models as routing needs them, rebuilt once an hour and whenever an operator changes them.

    With ``abilities``, each has a place between the predictor's weak and strong model.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        prices: PriceBook,
        caller: ResilientCaller,
        models: KnownModels | None = None,
        abilities: AbilityTable | None = None,
    ) -> None:
        self._abilities = abilities
        self._catalogue = catalogue
        self._prices = prices
        self._caller = caller
        self._models = models or KnownModels(catalogue)
        self._built_for = (-1, -1, -1)
        self._options: tuple[ModelOption, ...] = ()
        self._in_tiers: dict[tuple[ModelRef, str], ModelOption | None] = {}
        self._efforts: dict[ModelRef, Efforts] = {}
        self._by_ref: dict[ModelRef, ModelOption] = {}
        self._named: dict[ModelRef, ModelOption] = {}

    def options(self) -> tuple[ModelOption, ...]:
        """Return the chat models that may be called, with prices in USD per million tokens."""
        now = (int(time.time()) // 3600, self._prices.version, self._caller.changes)
        if now != self._built_for:
            self._options = tuple(
                self._option(spec)
                for spec in self._catalogue.models
                if self._caller.serves(spec.provider, spec.id)
            )
            self._by_ref = {option.ref: option for option in self._options}
            self._named = {}
            self._in_tiers = {}
            self._efforts = {}
            self._built_for = now
        return self._options

    def features(self, provider: str, model: str) -> frozenset[str]:
        """Return the features that the model and its wire have; empty if it is not known."""
        options = self.named(frozenset({ModelRef(provider, model)}))
        return options[0].capabilities if options else frozenset()

    def named(self, models: frozenset[ModelRef]) -> tuple[ModelOption, ...]:
        """Return those of ``models`` that may be called, in the catalogue or not."""
        self.options()
        chosen = []
        for ref in models:
            option = self._by_ref.get(ref) or self._named.get(ref)
            if option is None and self._caller.serves(*ref):
                spec = self._models.find(*ref) or passed_on(*ref)
                if self._caller.is_off(*ref, spec.snapshot_of):
                    continue
                # Clients may invent names without end.
                if len(self._named) >= _KEPT_NAMED:
                    self._named = {}
                option = self._named[ref] = self._option(spec)
            if option is not None:
                chosen.append(option)
        if len(chosen) > 1:
            chosen.sort(key=lambda option: (option.rank, option.provider, option.model))
        return tuple(chosen)

    def at_tier(self, option: ModelOption, tier: str) -> ModelOption | None:
        """Return ``option`` at the prices of a service tier; ``None`` if that is not cheaper."""
        self.options()
        key = (option.ref, tier)
        if key not in self._in_tiers:
            if len(self._in_tiers) >= _KEPT_NAMED:
                self._in_tiers = {}
            self._in_tiers[key] = self._priced_in(option, tier)
        return self._in_tiers[key]

    def _priced_in(self, option: ModelOption, tier: str) -> ModelOption | None:
        provider = self._caller.providers[option.provider]
        if not isinstance(provider, WireClient) or not provider.has_tiers:
            return None
        rates = self._prices.rates(*option.ref, service_tier=tier)
        usual = self._prices.rates(*option.ref)
        if rates is None or usual is None:
            return None
        cheaper = rates.input.base <= usual.input.base and rates.output.base < usual.output.base
        return replace(option, **_prices(rates)) if cheaper else None

    def efforts(self, option: ModelOption) -> Efforts:
        """Return the efforts of reasoning that ``option`` takes."""
        known = self._efforts.get(option.ref)
        if known is None:
            if len(self._efforts) >= _KEPT_NAMED:
                self._efforts = {}
            provider = self._caller.providers[option.provider]
            known = NO_EFFORTS
            if isinstance(provider, WireClient):
                known = provider.efforts(option.model, self._caller.lacks(*option.ref))
            self._efforts[option.ref] = known
        return known

    def available_providers(self) -> frozenset[str]:
        """Return the providers whose circuit breaker lets calls through."""
        return frozenset(
            name for name in self._caller.providers if self._caller.circuit_state(name) != "open"
        )

    def cooling(self) -> Mapping[tuple[str, str], float]:
        """Return the models whose provider limits the rate of calls, each with for how long (s)."""
        cooldowns = self._caller.cooldowns
        return cooldowns.all() if cooldowns.models else _NOTHING

    def _option(self, spec: ModelSpec) -> ModelOption:
        provider = self._caller.providers[spec.provider]
        lacks = spec.lacks | self._catalogue.providers[spec.provider].lacks
        rates = self._prices.rates(spec.provider, spec.id)
        place = place_of(spec, self._abilities) if self._abilities else None
        return ModelOption(
            provider=spec.provider,
            model=spec.id,
            tier=spec.tier,  # type: ignore[arg-type]  # checked when the catalogue was read
            rank=spec.rank,
            context_window=spec.context_window,
            capabilities=((spec.capabilities | provider.features) - lacks)
            | self._caller.residencies(spec.provider, spec.id),
            max_output=spec.max_output,
            snapshot_of=spec.snapshot_of,
            place=place.at if place else None,
            place_width=place.width if place else 0.0,
            efforts=places_by_effort(spec, self._abilities) if self._abilities else {},
            place_by_domain=place.by_domain if place else (),
            **_prices(rates),
        )


def _prices(rates: Rates | None) -> dict[str, Any]:
    """Return the fields of an option that are prices, in USD per million tokens."""
    return {
        "input_price": rates.input.base if rates else None,
        "output_price": rates.output.base if rates else None,
        "cache_read_price": rates.cache_read.base if rates and rates.cache_read else None,
        "cache_write_price": rates.cache_write.base if rates and rates.cache_write else None,
        "long_input": _long_input(rates) if rates else (),
    }


def _long_input(rates: Rates) -> tuple[LongInputPrices, ...]:
    """Return the prices above each input size (tokens) at which one of them changes."""
    priced = [rate for rate in (rates.input, rates.output, rates.cache_read) if rate is not None]
    return tuple(
        LongInputPrices(
            start,
            rates.input.at(start + 1),
            rates.output.at(start + 1),
            rates.cache_read.at(start + 1) if rates.cache_read else None,
        )
        for start in sorted({start for rate in priced for start, _ in rate.tiers})
    )
