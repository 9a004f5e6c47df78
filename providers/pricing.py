"""The cost of a call in USD, as an exact Decimal.

Rates come from the ``genai-prices`` package, by date. The catalogue overrides them, and
prices that operators set for certain days override both. This module computes the cost
itself, from rates looked up once an hour per model, because the package's own calculation
takes longer than routing. A test checks that both results are equal to the last digit.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import ROUND_CEILING, ROUND_HALF_EVEN, Decimal
from typing import Any, Literal

from genai_prices.types import ModelInfo, TieredPrices

from providers.catalogue import Catalogue
from providers.completion import Usage
from providers.dated_prices import DatedPrice, DatedPrices
from providers.fees import NO_FEES, Fees, provider_fees
from providers.known_models import KnownModels, names_with_its_price, table_entry
from providers.price_table import (
    BATCH,
    BATCH_FACTOR,
    ListedPrices,
    listed_prices,
    variant_of,
)

logger = logging.getLogger(__name__)
_ZERO = Decimal(0)
MILLION = Decimal(1_000_000)
PLACES = Decimal("0.0000000001")
"""The places to which money is kept."""
_MOST_WARNINGS = 1_000
_LARGEST_CONTEXT = 10_000_000
Tiers = tuple[tuple[int, Decimal], ...]
PriceSource = Literal["set here", "catalogue", "genai-prices", "unknown"]


@dataclass(frozen=True, slots=True)
class Rate:
    """A price in USD per million tokens: ``base``, or that of the highest tier exceeded.

    A tier applies to *all* tokens of a call whose input is larger than the tier's start;
    providers with tiers bill in this way.
    """

    base: Decimal
    tiers: Tiers = ()

    def at(self, input_tokens: int) -> Decimal:
        """Return the price for a call with so many input tokens."""
        for start, price in reversed(self.tiers):
            if input_tokens > start:
                return price
        return self.base

    def times(self, factor: Decimal) -> Rate:
        """Return this price times ``factor``."""
        return Rate(self.base * factor, tuple((start, p * factor) for start, p in self.tiers))

    def most(self, input_tokens: int) -> Decimal:
        """Return the highest price for any input of at most so many tokens."""
        exceeded = [price for start, price in self.tiers if input_tokens > start]
        return max([self.base, *exceeded])


@dataclass(frozen=True, slots=True)
class Rates:
    """A model's rates at one time; a missing rate for a kind of tokens is the general one."""

    input: Rate
    output: Rate
    cache_read: Rate | None = None
    cache_write: Rate | None = None
    cache_write_1h: Rate | None = None
    input_audio: Rate | None = None
    output_audio: Rate | None = None
    fees: Fees = NO_FEES

    def cost(self, usage: Usage) -> Decimal:
        """Return the cost of ``usage`` in USD, rounded half-even to ten decimal places."""
        size = usage.input_tokens
        cache_reads = min(usage.cache_read_tokens, size)
        cache_writes = min(usage.cache_write_tokens, size - cache_reads)
        # Most models have no tiers; their only rate needs no search.
        inputs, outputs = self.input, self.output
        rate = inputs.at(size) if inputs.tiers else inputs.base
        total = rate * (size - cache_reads - cache_writes)
        total += (outputs.at(size) if outputs.tiers else outputs.base) * usage.output_tokens
        if cache_reads:
            total += (self.cache_read or self.input).at(size) * cache_reads
        if cache_writes:
            hour_writes = min(usage.cache_write_1h_tokens, cache_writes)
            total += (self.cache_write or self.input).at(size) * (cache_writes - hour_writes)
            total += (self.cache_write_1h or self.cache_write or self.input).at(size) * hour_writes
        if usage.audio_input_tokens or usage.audio_output_tokens:
            total += self._more_for_audio(usage, size - cache_reads - cache_writes)
        fees = self.fees
        if usage.web_searches or usage.file_searches or fees.requests is not None:
            total += fees.cost(usage) * MILLION
        return (total / MILLION).quantize(PLACES, rounding=ROUND_HALF_EVEN)

    def _more_for_audio(self, usage: Usage, uncached: int) -> Decimal:
        """Return what audio costs more than text, in millionths of a USD."""
        size, total = usage.input_tokens, _ZERO
        if self.input_audio is not None:
            more = self.input_audio.at(size) - self.input.at(size)
            total += more * min(usage.audio_input_tokens, uncached)
        if self.output_audio is not None:
            more = self.output_audio.at(size) - self.output.at(size)
            total += more * min(usage.audio_output_tokens, usage.output_tokens)
        return total

    def most(self, input_tokens: int, output_tokens: int) -> Decimal:
        """Return the most that the tokens of a call, at most so many, can cost, in USD.

        It holds however the tokens are billed, and is rounded up to ten decimal places. It
        includes the fee of the request, but no searches, whose number nothing limits.
        """
        others = (self.cache_write, self.cache_write_1h, self.cache_read, self.input_audio)
        inputs = [self.input, *(rate for rate in others if rate is not None)]
        outputs = [self.output, *(() if self.output_audio is None else (self.output_audio,))]
        total = max(rate.most(input_tokens) for rate in inputs) * input_tokens
        total += max(rate.most(input_tokens) for rate in outputs) * output_tokens
        if self.fees.requests is not None:
            total += max(self.fees.requests.values()) * 1000
        return (total / MILLION).quantize(PLACES, rounding=ROUND_CEILING)


class PriceBook:
    """Rates of models at a given time.

    The price of a model that is in no catalogue is the price table's. A snapshot of a
    catalogue's model has that model's price, unless it has one of its own.
    """

    def __init__(self, catalogue: Catalogue, models: KnownModels | None = None) -> None:
        self._catalogue = catalogue
        self._models = models or KnownModels(catalogue)
        self._dated = DatedPrices()
        self._rates: dict[tuple[str, str, int, str, str], Rates | None] = {}
        self._warned: set[tuple[str, str]] = set()
        self.version = 0
        """Increases whenever rates that were looked up before may be wrong now."""

    def set_dated(self, prices: Iterable[DatedPrice]) -> None:
        """Replace all prices set by operators by ``prices``."""
        self._dated.replace(prices)
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
    ) -> Rates | None:
        """Return the model's rates at ``at`` (aware, default now), or ``None`` if unknown.

        ``service_tier`` and ``speed`` name the price variant as :class:`Usage` does.
        """
        at = at or datetime.now(UTC)
        # Prices change by date or by time of day, never within an hour.
        key = (provider, model, int(at.timestamp()) // 3600, service_tier, speed)
        # If another thread sets prices during the lookup, the result goes into the old dict,
        # which is no longer used.
        cache = self._rates
        if key not in cache:
            if len(cache) > 10_000:
                cache.clear()
            cache[key] = self._look_up(provider, model, at, variant_of(service_tier, speed))
        return cache[key]

    def cost(
        self, provider: str, model: str, usage: Usage, at: datetime | None = None
    ) -> Decimal | None:
        """Return the cost in USD, or ``None`` (and log one warning) if the price is unknown.

        What the provider says it charged counts before any price table.
        """
        if usage.reported_cost is not None:
            return usage.reported_cost.quantize(PLACES, rounding=ROUND_HALF_EVEN)
        rates = self.rates(provider, model, at, usage.service_tier, usage.speed)
        if rates is None:
            self._warn(provider, model, "No price is known for %s/%s; its cost is unknown")
            return None
        if (usage.web_searches or usage.file_searches) and rates.fees.unknown_for(usage):
            self._warn(provider, model, "No fee is known for searches by %s/%s; none is counted")
        return rates.cost(usage)

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
    ) -> Decimal | None:
        """Return the most that a call of at most so many tokens can cost, in USD.

        It holds for a call that ends within an hour, served as the request asks or by the
        standard tier. ``None`` means that the price is unknown.
        """
        now, costs = datetime.now(UTC), []
        for at in (now, now + timedelta(hours=1)):
            for variant in {("", ""), (service_tier, speed)}:
                rates = self.rates(provider, model, at, *variant)
                if rates is None:
                    return None
                costs.append(rates.most(input_tokens, output_tokens))
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
        if self._set_here(provider, model, at) is not None:
            return "set here"
        spec = self._models.find(provider, model)
        return "catalogue" if spec is not None and spec.price is not None else "genai-prices"

    def deprecated(self, provider: str, model: str) -> bool:
        """Return whether the price table marks the model as deprecated."""
        info = self._info(provider, model)
        return info is not None and bool(info.deprecated)

    def _set_here(self, provider: str, model: str, at: datetime) -> Mapping[str, Decimal] | None:
        """Return the price that operators set for the model, or for the one it is a snapshot of."""
        spec = self._models.find(provider, model)
        for name in (model,) if spec is None else names_with_its_price(spec):
            dated = self._dated.on(provider, name, at.astimezone(UTC).date())
            if dated is not None:
                return dated
        return None

    def _info(self, provider: str, model: str) -> ModelInfo | None:
        owner = self._catalogue.providers.get(provider)
        if owner is None:
            return None
        spec = self._models.find(provider, model)
        for name in (model,) if spec is None else names_with_its_price(spec):
            if info := table_entry(owner, name):
                return info
        return None

    def _look_up(
        self, provider: str, model: str, at: datetime, variant: dict[str, str]
    ) -> Rates | None:
        spec = self._models.find(provider, model)
        own = self._set_here(provider, model, at)
        if own is None and spec is not None:
            own = spec.price
        owner, info = self._catalogue.providers.get(provider), self._info(provider, model)
        listed = standard = None
        if owner is not None and info is not None:
            listed = standard = listed_prices(owner.prices, info, at, variant)
            if variant:
                standard = listed_prices(owner.prices, info, at, {})
        if own is not None:
            fees = provider_fees(owner.prices) if owner is not None else NO_FEES
            rates = replace(rates_of(own), fees=fees)
            if variant == BATCH and listed is None:
                return _batch_rates(rates)
            return _own_rates(rates, listed, standard)
        if listed is None:
            return None
        if "output" not in listed.by_kind and (spec is None or spec.kind == "chat"):
            return None
        return _listed_rates(listed)


def _listed_rates(listed: ListedPrices) -> Rates:
    kinds = {kind: _rate(price) for kind, price in listed.by_kind.items()}
    if listed.factor is not None:
        kinds = {kind: rate.times(listed.factor) for kind, rate in kinds.items()}
    kinds.setdefault("output", Rate(_ZERO))
    return Rates(**kinds, fees=listed.fees)


def _own_rates(own: Rates, listed: ListedPrices | None, standard: ListedPrices | None) -> Rates:
    """Return rates set here, with the fees of the price table.

    They are those of the standard variant; another differs from it as it does in the table.
    """
    if listed is None:
        return own
    own = replace(own, fees=listed.fees)
    if standard is None or listed is standard:
        return own
    variant, usual = _listed_rates(listed), _listed_rates(standard)
    kinds: dict[str, Any] = {}
    for kind in listed.by_kind:
        rate, base = getattr(own, kind), getattr(usual, kind)
        if rate is not None and base is not None and base.base:
            kinds[kind] = rate.times(getattr(variant, kind).base / base.base)
    return replace(own, **kinds)


def _batch_rates(rates: Rates) -> Rates:
    """Return the rates of a batch of a model that the price table does not know."""
    kinds = ("input", "output", "cache_read", "cache_write", "cache_write_1h")
    known = {kind: rate for kind in kinds if (rate := getattr(rates, kind)) is not None}
    return replace(rates, **{kind: rate.times(BATCH_FACTOR) for kind, rate in known.items()})


def _rate(price: Decimal | TieredPrices) -> Rate:
    if isinstance(price, TieredPrices):
        return Rate(price.base, tuple((tier.start, tier.price) for tier in price.tiers))
    return Rate(price)


def rates_of(price: Mapping[str, Decimal]) -> Rates:
    """Return rates without tiers from ``price``, in USD per million tokens by unit."""
    rates = {unit: Rate(value) for unit, value in price.items()}
    return Rates(
        input=rates["input"],
        output=rates.get("output", Rate(Decimal(0))),
        cache_read=rates.get("cache_read"),
        cache_write=rates.get("cache_write"),
        cache_write_1h=rates.get("cache_write_1h"),
    )
