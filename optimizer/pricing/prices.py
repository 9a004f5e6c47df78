"""Prices as operators see them: set here, moved at their source, and what that would change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from analytics.ledger.daily_totals import model_sums
from analytics.models import PriceOverride
from analytics.prices import (
    CurrentPrice,
    PriceChange,
    overrides_load,
    overrides_version,
    price_changes,
    prices_record,
    tokens_used,
)
from analytics.reports.repricing import Tariff, charge_for
from optimizer.pricing.baselines import tariff_of
from providers.catalogue import Catalogue, ModelSpec
from providers.pricing import DatedPrice, PriceBook, PriceSource, Rates, rates_of
from providers.resilience import ResilientCaller

_DAYS = 30
_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class ModelPrice:
    """A model of the catalogue with its price now, and what it did in the last thirty days:
    ``requests`` and ``spent`` (USD).
    """

    spec: ModelSpec
    enabled: bool
    rates: Rates | None
    source: PriceSource
    deprecated: bool
    requests: int
    spent: Decimal

    @property
    def long_input(self) -> int | None:
        """Input tokens above which it costs otherwise."""
        if self.rates is None or not self.rates.input.tiers:
            return None
        return self.rates.input.tiers[0][0]


@dataclass(frozen=True, slots=True)
class PriceEffect:
    """The last ``days`` days of a model at other prices, USD: as ``charged`` then, at the
    prices of ``now`` (``None`` where there is none), and at the ``new`` ones.

    Which model is chosen is left as it was; ``unpriced`` requests had no price then.
    """

    days: int
    requests: int
    unpriced: int
    charged: Decimal
    now: Decimal | None
    new: Decimal

    @property
    def difference(self) -> Decimal:
        """What the new prices would have cost more than today's, or than was charged."""
        return self.new - (self.charged if self.now is None else self.now)


class PriceService:
    """Keeps the process's price book up to date with what operators set."""

    def __init__(self, catalogue: Catalogue, prices: PriceBook, caller: ResilientCaller) -> None:
        self._catalogue = catalogue
        self._prices = prices
        self._caller = caller
        self._version: object = (None, 0)

    def refresh(self) -> None:
        """Read what operators set, if it has changed."""
        version = overrides_version()
        if version != self._version:
            self._prices.set_dated(prices_set_here())
            self._version = version

    def note(self) -> None:
        """Write down which prices have changed."""
        prices_record(self._found(spec) for spec in self._specs())

    def models(self) -> list[ModelPrice]:
        """Those that are configured first, then in the catalogue's order."""
        sums = model_sums(datetime.now(UTC).date() - timedelta(days=_DAYS - 1))
        found = []
        for spec in self._specs():
            requests, spent = sums.get((spec.provider, spec.id), (0, _ZERO))
            found.append(
                ModelPrice(
                    spec=spec,
                    enabled=spec.provider in self._caller.providers,
                    rates=self._prices.rates(spec.provider, spec.id),
                    source=self._prices.source(spec.provider, spec.id),
                    deprecated=self._prices.deprecated(spec.provider, spec.id),
                    requests=requests,
                    spent=spent,
                )
            )
        return sorted(found, key=lambda model: not model.enabled)

    def moves(self) -> list[PriceChange]:
        """The prices that changed in the last thirty days."""
        return price_changes(datetime.now(UTC) - timedelta(days=_DAYS))

    def effect(self, provider: str, model: str, price: Mapping[str, Decimal]) -> PriceEffect:
        """What ``price`` (USD per million tokens by unit) would have done to the last month."""
        rates, new = self._prices.rates(provider, model), tariff_of(rates_of(price))
        now = tariff_of(rates) if rates is not None else None
        rows = tokens_used(provider, model, [step.above for step in now or ()], _DAYS)
        return PriceEffect(
            days=_DAYS,
            requests=sum(row["requests"] for row in rows),
            unpriced=sum(row["requests"] - row["priced"] for row in rows),
            charged=sum((row["charged"] - row["failed"] for row in rows), _ZERO),
            now=_charged(rows, now) if now else None,
            new=_charged(rows, new),
        )

    def _specs(self) -> list[ModelSpec]:
        return [*self._catalogue.models, *self._catalogue.embeddings]

    def _found(self, spec: ModelSpec) -> CurrentPrice:
        rates = self._prices.rates(spec.provider, spec.id)
        source = self._prices.source(spec.provider, spec.id)
        if rates is None:
            return CurrentPrice(spec.provider, spec.id, source, {})
        units = {
            "input": rates.input, "output": rates.output, "cache_read": rates.cache_read,
            "cache_write": rates.cache_write, "cache_write_1h": rates.cache_write_1h,
        }  # fmt: skip
        base = {unit: rate.base for unit, rate in units.items() if rate is not None}
        steps = [(step.above, step.input, step.output) for step in tariff_of(rates)[1:]]
        return CurrentPrice(spec.provider, spec.id, source, base, steps)


def _charged(rows: Sequence[Mapping[str, Any]], tariff: Tariff) -> Decimal:
    return sum((amount for row in rows for amount in charge_for(row, tariff)), _ZERO)


def prices_set_here() -> list[DatedPrice]:
    """What operators set. Reads the database."""
    return [_dated(override) for override in overrides_load()]


def _dated(override: PriceOverride) -> DatedPrice:
    return DatedPrice(
        override.provider,
        override.model,
        override.price,
        override.valid_from,
        override.valid_until,
    )
