"""Prices as operators see them: current, set here, changed at their source, and their effect."""

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
from optimizer.shared.snapshot import Snapshot
from providers.catalogue import Catalogue, ModelSpec
from providers.dated_prices import DatedPrice
from providers.pricing import PriceBook
from providers.rate_sources import PriceSource
from providers.rates import Rates, rates_of
from providers.resilience import ResilientCaller
from routing.models import ModelRef

_DAYS = 30
_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class ModelPrice:
    """A model of the catalogue, its current price, and its use.

    ``enabled`` is whether its provider is configured, ``off`` whether an operator has switched it
    off. ``requests`` and ``spent`` (USD) are those of the last thirty days.
    """

    spec: ModelSpec
    enabled: bool
    off: bool
    rates: Rates | None
    source: PriceSource
    deprecated: bool
    requests: int
    spent: Decimal

    @property
    def unit_prices(self) -> list[str]:
        """The prices of a model that is not billed by tokens, in words."""
        units = self.rates.fees.units if self.rates is not None else None
        return [] if units is None or units.tokens else units.in_words()

    @property
    def long_input(self) -> int | None:
        """The number of input tokens above which another rate applies, if there is one."""
        if self.rates is None or not self.rates.input.tiers:
            return None
        return self.rates.input.tiers[0][0]


@dataclass(frozen=True, slots=True)
class PriceEffect:
    """The cost in USD of a model's last ``days`` days at other prices.

    ``charged`` is the recorded cost, ``now`` the cost at today's prices (``None`` if there
    are none), and ``new`` the cost at the new prices. The choice of models stays as it was;
    ``unpriced`` requests had no price when they were recorded.
    """

    days: int
    requests: int
    unpriced: int
    charged: Decimal
    now: Decimal | None
    new: Decimal

    @property
    def difference(self) -> Decimal:
        """The extra cost at the new prices, compared with today's or with what was charged."""
        return self.new - (self.charged if self.now is None else self.now)


class PriceService:
    """Keeps the process's price book up to date with the prices that operators set."""

    def __init__(self, catalogue: Catalogue, prices: PriceBook, caller: ResilientCaller) -> None:
        self._catalogue = catalogue
        self._prices = prices
        self._caller = caller
        self._overrides = Snapshot(load_operator_prices, overrides_version)

    def refresh(self) -> None:
        """Read the prices that operators set, if they have changed."""
        if self._overrides.refresh():
            self._prices.set_dated(self._overrides.value or ())

    def note(self) -> None:
        """Record which prices have changed since the last call."""
        # The history has no columns for other units than tokens.
        prices_record(
            self._current_price(spec) for spec in self._specs() if not self._has_units_alone(spec)
        )

    def models(self) -> list[ModelPrice]:
        """Return all models with their prices, configured ones first, in catalogue order."""
        sums = model_sums(datetime.now(UTC).date() - timedelta(days=_DAYS - 1))
        models = []
        for spec in self._specs():
            requests, spent = sums.get(ModelRef(spec.provider, spec.id), (0, _ZERO))
            models.append(
                ModelPrice(
                    spec=spec,
                    enabled=spec.provider in self._caller.providers,
                    off=self._caller.is_off(spec.provider, spec.id),
                    rates=self._prices.rates(spec.provider, spec.id),
                    source=self._prices.source(spec.provider, spec.id),
                    deprecated=self._prices.deprecated(spec.provider, spec.id),
                    requests=requests,
                    spent=spent,
                )
            )
        return sorted(models, key=lambda model: not model.enabled)

    def output_weights(self) -> dict[str, float]:
        """Return what an output token of each model costs in input tokens, by "provider/model"."""
        weights = {}
        for spec in self._catalogue.models:
            rates = self._prices.rates(spec.provider, spec.id)
            if rates is not None and rates.input.base > 0:
                weights[spec.ref] = float(rates.output.base / rates.input.base)
        return weights

    def changes(self) -> list[PriceChange]:
        """Return the prices that changed in the last thirty days."""
        return price_changes(datetime.now(UTC) - timedelta(days=_DAYS))

    def effect(self, provider: str, model: str, price: Mapping[str, Decimal]) -> PriceEffect:
        """Return the effect of ``price`` (USD per million tokens by unit) on the last 30 days."""
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
        return list(self._catalogue.all_models)

    def _has_units_alone(self, spec: ModelSpec) -> bool:
        rates = self._prices.rates(spec.provider, spec.id)
        units = rates.fees.units if rates is not None else None
        return units is not None and not units.tokens

    def _current_price(self, spec: ModelSpec) -> CurrentPrice:
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


def load_operator_prices() -> list[DatedPrice]:
    """Return the prices that operators set. Reads the database."""
    return [_dated(override) for override in overrides_load()]


def _dated(override: PriceOverride) -> DatedPrice:
    return DatedPrice(
        override.provider,
        override.model,
        override.price,
        override.valid_from,
        override.valid_until,
    )
