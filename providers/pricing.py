"""The cost of a call in USD, as an exact Decimal, and the basis on which it is known.

Rates come from the ``genai-prices`` package, by date and hour. The catalogue overrides them,
and prices that operators set for certain days override both. What a provider says that it
charged counts before any table. This module computes the cost itself, from rates looked up
once a quarter of an hour per model, because the package's own calculation takes longer than
routing. A test checks that both results are equal to the last digit.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import ROUND_CEILING, ROUND_HALF_EVEN, Decimal
from typing import Literal, NamedTuple

from providers.catalogue import Catalogue
from providers.completion import Usage
from providers.dated_prices import DatedPrice
from providers.fees import NO_FEES
from providers.known_models import KnownModels
from providers.rate_sources import PriceSource, RateSources
from providers.rates import MILLION, PLACES, Rates
from providers.units import Units

logger = logging.getLogger(__name__)
_ZERO = Decimal(0)
_MOST_WARNINGS = 1_000
_LARGEST_CONTEXT = 10_000_000
_PROVISIONED = "provisioned"
# Prices change at quarters of an hour at most.
_SECONDS_OF_A_PRICE = 900
Basis = Literal["reported", "table", "estimated", "unknown"]


class CallPrice(NamedTuple):
    """What a call cost in USD, ``None`` if that is unknown, and how that is known.

    ``basis`` is "reported" by the provider, a price "table" times the usage that it reported,
    "estimated" from tokens that were estimated, or "unknown". ``listed`` is the price by the
    table where the cost is another amount: one that the provider reported, or nothing because
    the call was paid ahead; else ``None``.
    """

    cost: Decimal | None
    basis: Basis
    listed: Decimal | None = None


def cost_at(rates: Rates, usage: Usage, *, output: bool = True) -> Decimal:
    """Return the cost of ``usage`` in USD, rounded half-even to ten decimal places.

    What the provider charges for the calls beside it is not included, and without ``output``
    neither is what it charges for the output.
    """
    size = usage.input_tokens
    cache_reads = min(usage.cache_read_tokens, size)
    cache_writes = min(usage.cache_write_tokens, size - cache_reads)
    uncached = size - cache_reads - cache_writes
    # Most models have no tiers; their only rate needs no search.
    inputs, outputs = rates.input, rates.output
    total = inputs.charge(uncached, size) if inputs.tiers else inputs.base * uncached
    written = usage.output_tokens if output else 0
    total += outputs.charge(written, size) if outputs.tiers else outputs.base * written
    if cache_reads:
        total += (rates.cache_read or rates.input).charge(cache_reads, size)
    if cache_writes:
        hour_writes = min(usage.cache_write_1h_tokens, cache_writes)
        write, hour_write = rates.cache_write or rates.input, rates.cache_write_1h
        total += write.charge(cache_writes - hour_writes, size)
        total += (hour_write or write).charge(hour_writes, size)
    if rates.media is not None:
        total += rates.more_for_media(rates.media, usage, uncached, written)
    fees = rates.fees
    if fees is not NO_FEES and (usage.has_fees or fees.requests is not None):
        total += fees.cost(usage) * MILLION
    return (total / MILLION).quantize(PLACES, rounding=ROUND_HALF_EVEN)


class PriceBook:
    """Rates of models at a given time, and what calls cost at them."""

    def __init__(self, catalogue: Catalogue, models: KnownModels | None = None) -> None:
        self._catalogue = catalogue
        self._models = models or KnownModels(catalogue)
        self._sources = RateSources(catalogue, self._models)
        self._prepaid = {name for name, owner in catalogue.providers.items() if owner.prepaid}
        self._rates: dict[tuple[str, str, int, str, str, str], Rates | None] = {}
        self._warned: set[tuple[str, str]] = set()
        self.version = 0
        """Increases whenever rates that were looked up before may be wrong now."""

    def set_dated(self, prices: Iterable[DatedPrice]) -> None:
        """Replace all prices set by operators by ``prices``."""
        self._sources.dated.replace(prices)
        self.forget()

    def forget(self) -> None:
        """Look all rates up again: what they come from has changed."""
        self._rates = {}
        self._warned = set()
        self.version += 1

    def rates(
        self,
        provider: str,
        model: str,
        at: datetime | None = None,
        service_tier: str = "",
        speed: str = "",
        geography: str = "",
    ) -> Rates | None:
        """Return the model's rates at ``at`` (aware, default now), or ``None`` if unknown.

        ``service_tier``, ``speed`` and ``geography`` name the price variant as :class:`Usage`
        does.
        """
        period = int(time.time() if at is None else at.timestamp()) // _SECONDS_OF_A_PRICE
        key = (provider, model, period, service_tier, speed, geography)
        # If another thread sets prices during the lookup, the result goes into the old dict,
        # which is no longer used.
        cache = self._rates
        if key not in cache:
            if len(cache) > 10_000:
                cache.clear()
            variant = (service_tier, speed, geography)
            cache[key] = self._sources.look_up(provider, model, at or datetime.now(UTC), variant)
        return cache[key]

    def price(
        self,
        provider: str,
        model: str,
        usage: Usage,
        at: datetime | None = None,
        *,
        output: bool = True,
    ) -> CallPrice:
        """Return what a call cost, or all but its ``output``, and how that is known.

        What the provider says it charged counts before any price table. If the price is
        unknown, one warning is logged.
        """
        if usage.beside or usage.has_fees:
            listed, complete = self._listed(provider, model, usage, at, output=output)
        else:
            rates = self.rates(
                provider, model, at, usage.service_tier, usage.speed, usage.geography
            )
            listed = None if rates is None else cost_at(rates, usage, output=output)
            complete = True
        basis: Basis = "estimated" if usage.estimated or not complete else "table"
        tier = usage.service_tier
        if tier == _PROVISIONED or (provider in self._prepaid and self._is_prepaid(provider, tier)):
            return CallPrice(_ZERO, basis, listed)
        if usage.reported_cost is not None:
            reported = usage.reported_cost.quantize(PLACES, rounding=ROUND_HALF_EVEN)
            return CallPrice(reported, "reported", listed if complete else None)
        if listed is None:
            self._warn(provider, model, "No price is known for %s/%s; its cost is unknown")
            return CallPrice(None, "unknown")
        return CallPrice(listed, basis)

    def _is_prepaid(self, provider: str, tier: str) -> bool:
        return self._catalogue.providers[provider].is_prepaid(tier)

    def cost(
        self, provider: str, model: str, usage: Usage, at: datetime | None = None
    ) -> Decimal | None:
        """Return the cost in USD, or ``None`` if the price is unknown: see :meth:`price`."""
        return self.price(provider, model, usage, at).cost

    def _listed(
        self,
        provider: str,
        model: str,
        usage: Usage,
        at: datetime | None,
        *,
        output: bool = True,
    ) -> tuple[Decimal | None, bool]:
        """Return the cost by the table, with the calls beside this one, and if it is complete.

        It is not if a tool has a fee that is not known.
        """
        rates = self.rates(provider, model, at, usage.service_tier, usage.speed, usage.geography)
        if rates is None or (usage.units is not None and not _bills(rates, usage)):
            return None, True
        complete = True
        if usage.has_fees:
            complete = not rates.fees.unknown_for(usage)
            if not complete:
                self._warn(provider, model, "No fee is known for tools of %s/%s; none is counted")
        total = cost_at(rates, usage, output=output)
        for other, call in usage.beside:
            # It is served by the tier and at the place of the call around it.
            served = replace(
                call,
                service_tier=call.service_tier or usage.service_tier,
                geography=call.geography or usage.geography,
            )
            more, known = self._listed(provider, other or model, served, at)
            if more is None:
                return None, True
            total, complete = total + more, complete and known
        return total, complete

    def _warn(self, provider: str, model: str, message: str) -> None:
        if (provider, model) not in self._warned:
            if len(self._warned) > _MOST_WARNINGS:
                self._warned.clear()
            self._warned.add((provider, model))
            logger.warning(message, provider, model)

    def charged(self, provider: str, model: str, usage: Usage | None) -> Decimal:
        """Return the cost of ``usage`` in USD; 0 without usage or if the price is unknown."""
        return _ZERO if usage is None else self.cost(provider, model, usage) or _ZERO

    def most(
        self,
        provider: str,
        model: str,
        input_tokens: int,
        output_tokens: int,
        service_tier: str = "",
        speed: str = "",
        geography: str = "",
        units: Units | None = None,
    ) -> Decimal | None:
        """Return the most that a call of at most so many tokens and ``units`` can cost, in USD.

        It holds for a call that ends within an hour, served as the request asks or by the
        standard tier, and for a batch, served as one within a day. ``None`` means that the
        price is unknown.
        """
        if provider in self._prepaid and self._is_prepaid(provider, "*"):
            return _ZERO
        now, costs = datetime.now(UTC), []
        later = timedelta(hours=12) if service_tier == "batch" else timedelta(minutes=30)
        for at in (now, now + later, now + 2 * later):
            asked = (service_tier, speed, geography)
            for variant in {asked} if service_tier == "batch" else {("", "", ""), asked}:
                rates = self.rates(provider, model, at, *variant)
                if rates is None:
                    return None
                cost = rates.most(input_tokens, output_tokens)
                if units is not None:
                    usage = Usage(input_tokens, output_tokens, units=units)
                    if not _bills(rates, usage):
                        return None
                    if rates.fees.units is not None:
                        cost += rates.fees.units.cost(units).quantize(PLACES, ROUND_CEILING)
                costs.append(cost)
        return max(costs)

    def context_window(self, provider: str, model: str) -> int:
        """Return the model's context window in tokens, the largest of all if it is unknown."""
        spec = self._models.find(provider, model)
        return _LARGEST_CONTEXT if spec is None else spec.context_window

    def source(self, provider: str, model: str, at: datetime | None = None) -> PriceSource:
        """Return where the rates at ``at`` (default now) come from."""
        at = at or datetime.now(UTC)
        if self.rates(provider, model, at) is None:
            return "unknown"
        return self._sources.source(provider, model, at)

    def deprecated(self, provider: str, model: str) -> bool:
        """Return whether the price table marks the model as deprecated."""
        info = self._sources.listed(provider, model)
        return info is not None and bool(info.deprecated)


def _bills(rates: Rates, usage: Usage) -> bool:
    """Return whether ``rates`` have a price for anything that a call with units used."""
    prices = rates.fees.units
    assert usage.units is not None
    if (prices is None or prices.tokens) and (usage.input_tokens or usage.output_tokens):
        return True
    return prices is not None and prices.knows(usage.units)
