"""The cost of a call in USD, as an exact Decimal.

Rates come from the ``genai-prices`` package, by date. The catalogue overrides them, and
prices that operators set for certain days override both. This module computes the cost
itself, from rates looked up once an hour per model, because the package's own calculation
takes longer than routing. A test checks that both results are equal to the last digit.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_CEILING, ROUND_HALF_EVEN, Decimal
from typing import Literal

from genai_prices import data_snapshot
from genai_prices.types import ModelInfo, TieredPrices

from providers.catalogue import Catalogue
from providers.completion import Usage

logger = logging.getLogger(__name__)
_ZERO = Decimal(0)
MILLION = Decimal(1_000_000)
_PLACES = Decimal("0.0000000001")
_LARGEST_CONTEXT = 10_000_000
Tiers = tuple[tuple[int, Decimal], ...]
PriceSource = Literal["set here", "catalogue", "genai-prices", "unknown"]


@dataclass(frozen=True, slots=True)
class DatedPrice:
    """A price that an operator set for certain days.

    ``price`` is USD per million tokens by unit, as in the catalogue. It holds on the UTC
    days from ``since`` to the day before ``until``; ``None`` means no end.
    """

    provider: str
    model: str
    price: Mapping[str, Decimal]
    since: date
    until: date | None = None

    def holds_on(self, day: date) -> bool:
        """Return whether the price holds on this UTC day."""
        return self.since <= day and (self.until is None or day < self.until)


class DatedPrices:
    """All dated prices by model; they are replaced as a whole."""

    def __init__(self) -> None:
        self._by_model: dict[tuple[str, str], list[DatedPrice]] = {}

    def replace(self, prices: Iterable[DatedPrice]) -> None:
        """Replace all prices by ``prices``."""
        by_model: dict[tuple[str, str], list[DatedPrice]] = defaultdict(list)
        for price in prices:
            by_model[price.provider, price.model].append(price)
        self._by_model = dict(by_model)

    def on(self, provider: str, model: str, day: date) -> Mapping[str, Decimal] | None:
        """Return the price set for that day (USD per million tokens by unit), or ``None``."""
        for dated in self._by_model.get((provider, model), ()):
            if dated.holds_on(day):
                return dated.price
        return None


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

    def most(self, input_tokens: int) -> Decimal:
        """Return the highest price for any input of at most so many tokens."""
        exceeded = [price for start, price in self.tiers if input_tokens > start]
        return max([self.base, *exceeded])


@dataclass(frozen=True, slots=True)
class Rates:
    """A model's rates at one time; a missing rate for cached tokens is the input rate."""

    input: Rate
    output: Rate
    cache_read: Rate | None = None
    cache_write: Rate | None = None
    cache_write_1h: Rate | None = None

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
        return (total / MILLION).quantize(_PLACES, rounding=ROUND_HALF_EVEN)

    def most(self, input_tokens: int, output_tokens: int) -> Decimal:
        """Return the most that a call of at most so many tokens can cost, in USD.

        It holds however the tokens are billed, and is rounded up to ten decimal places.
        """
        cached = (self.cache_write, self.cache_write_1h, self.cache_read)
        inputs = [self.input, *(rate for rate in cached if rate is not None)]
        total = max(rate.most(input_tokens) for rate in inputs) * input_tokens
        total += self.output.most(input_tokens) * output_tokens
        return (total / MILLION).quantize(_PLACES, rounding=ROUND_CEILING)


class PriceBook:
    """Rates of the catalogue's models at a given time."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._dated = DatedPrices()
        self._rates: dict[tuple[str, str, int], Rates | None] = {}
        self._warned: set[tuple[str, str]] = set()
        self.version = 0
        """Increases whenever rates that were looked up before may be wrong now."""

    def set_dated(self, prices: Iterable[DatedPrice]) -> None:
        """Replace all prices set by operators by ``prices``."""
        self._dated.replace(prices)
        self._rates = {}
        self._warned = set()
        self.version += 1

    def rates(self, provider: str, model: str, at: datetime | None = None) -> Rates | None:
        """Return the model's rates at ``at`` (aware, default now), or ``None`` if unknown."""
        at = at or datetime.now(UTC)
        # Prices change by date or by time of day, never within an hour.
        key = (provider, model, int(at.timestamp()) // 3600)
        # If another thread sets prices during the lookup, the result goes into the old dict,
        # which is no longer used.
        cache = self._rates
        if key not in cache:
            if len(cache) > 10_000:
                cache.clear()
            cache[key] = self._look_up(provider, model, at)
        return cache[key]

    def cost(
        self, provider: str, model: str, usage: Usage, at: datetime | None = None
    ) -> Decimal | None:
        """Return the cost in USD, or ``None`` (and log one warning) if the price is unknown."""
        rates = self.rates(provider, model, at)
        if rates is not None:
            return rates.cost(usage)
        if (provider, model) not in self._warned:
            self._warned.add((provider, model))
            logger.warning("No price is known for %s/%s; its cost is unknown", provider, model)
        return None

    def charged(self, provider: str, model: str, usage: Usage | None) -> Decimal:
        """Return the cost of ``usage`` in USD; 0 without usage or if the price is unknown."""
        return _ZERO if usage is None else self.cost(provider, model, usage) or _ZERO

    def most(
        self, provider: str, model: str, input_tokens: int, output_tokens: int
    ) -> Decimal | None:
        """Return the most that a call of at most so many tokens can cost, in USD.

        It holds for a call that ends within an hour. ``None`` means that the price is unknown.
        """
        now = datetime.now(UTC)
        rates = (self.rates(provider, model, at) for at in (now, now + timedelta(hours=1)))
        costs = [rate.most(input_tokens, output_tokens) for rate in rates if rate is not None]
        return max(costs) if len(costs) == 2 else None

    def context_window(self, provider: str, model: str) -> int:
        """Return the model's context window in tokens, the largest of all if it is unknown."""
        spec = self._catalogue.find(provider, model)
        return _LARGEST_CONTEXT if spec is None else spec.context_window

    def source(self, provider: str, model: str, at: datetime | None = None) -> PriceSource:
        """Return where the rates at ``at`` (default now) come from."""
        at = at or datetime.now(UTC)
        if self.rates(provider, model, at) is None:
            return "unknown"
        spec = self._catalogue.find(provider, model)
        name = spec.id if spec else model
        if self._dated.on(provider, name, at.astimezone(UTC).date()) is not None:
            return "set here"
        return "catalogue" if spec is not None and spec.price is not None else "genai-prices"

    def deprecated(self, provider: str, model: str) -> bool:
        """Return whether the price table marks the model as deprecated."""
        info = self._info(provider, model)
        return info is not None and bool(info.deprecated)

    def _info(self, provider: str, model: str) -> ModelInfo | None:
        owner = self._catalogue.providers.get(provider)
        if owner is None or not owner.prices:
            return None
        spec = self._catalogue.find(provider, model)
        return _find_info(owner.prices, spec.id if spec else model)

    def _look_up(self, provider: str, model: str, at: datetime) -> Rates | None:
        spec = self._catalogue.find(provider, model)
        name = spec.id if spec else model
        dated = self._dated.on(provider, name, at.astimezone(UTC).date())
        if dated is not None:
            return rates_of(dated)
        if spec is not None and spec.price is not None:
            return rates_of(spec.price)
        info = self._info(provider, model)
        if info is None:
            return None
        prices = info.get_prices(at)
        if prices.input_mtok is None:
            return None
        if prices.output_mtok is None and (spec is None or spec.kind == "chat"):
            return None
        return Rates(
            input=_rate(prices.input_mtok),
            output=_optional(prices.output_mtok) or Rate(Decimal(0)),
            cache_read=_optional(prices.cache_read_mtok),
            cache_write=_optional(prices.cache_write_mtok),
            cache_write_1h=_optional(getattr(prices, "cache_write_1h_mtok", None)),
        )


def _find_info(prices_id: str, model: str) -> ModelInfo | None:
    snapshot = data_snapshot.get_snapshot()
    for provider in snapshot.providers:
        if provider.id == prices_id:
            return provider.find_model(model, all_providers=snapshot.providers)
    return None


def _optional(price: Decimal | TieredPrices | None) -> Rate | None:
    return None if price is None else _rate(price)


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
