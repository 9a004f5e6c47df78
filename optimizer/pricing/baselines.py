"""What a report can compare with: complexity's choice, a model always, or the one asked for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from analytics.reports.report import COMPLEXITY
from analytics.reports.repricing import Baseline, RepricedSums, Tariff, TariffStep
from analytics.reports.sums import RECORDED, ReportSums
from optimizer.domain.model_names import ModelNames, UnknownModel
from providers.pricing import PriceBook, Rate, Rates


class UnknownBaseline(ValueError):
    """There is nothing of this name to compare with; the message says what there is."""


@dataclass(frozen=True, slots=True)
class Baselines:
    """Finds the sums that compare with a baseline."""

    names: ModelNames
    prices: PriceBook

    def sums(self, name: str) -> tuple[ReportSums, str]:
        """``name`` is "complexity", "requested" or a model's; with how to call it in a report.

        Raises :class:`UnknownBaseline`.
        """
        if name == "complexity":
            return RECORDED, COMPLEXITY
        if name == "requested":
            asked = Baseline("the model asked for", self._requested, self._tariff)
            return RepricedSums(asked), asked.name
        try:
            model = self.names.one(name)
        except UnknownModel as error:
            raise UnknownBaseline(
                f"{error} Compare with complexity, requested or a model of the catalogue."
            ) from None
        if self.prices.rates(*model) is None:
            raise UnknownBaseline(f"No price is known for {'/'.join(model)}.")
        always = Baseline(f"always {'/'.join(model)}", lambda _: model, self._tariff)
        return RepricedSums(always), always.name

    def _requested(self, asked_for: str) -> tuple[str, str] | None:
        try:
            return self.names.one(asked_for)
        except UnknownModel:
            return None  # "auto", none at all, or a model that is gone from the catalogue

    def _tariff(self, provider: str, model: str, at: datetime) -> Tariff | None:
        rates = self.prices.rates(provider, model, at)
        return None if rates is None else tariff_of(rates)


def tariff_of(rates: Rates) -> Tariff:
    """One step for each size of input at which one of the rates changes."""
    priced = [rate for rate in (rates.input, rates.output, rates.cache_read, rates.cache_write)
              if rate is not None]  # fmt: skip
    starts = sorted({start for rate in priced for start, _ in rate.tiers})
    return tuple(_step(rates, above) for above in (-1, *starts))


def _step(rates: Rates, above: int) -> TariffStep:
    def at(rate: Rate | None) -> Decimal:
        return (rate or rates.input).at(above + 1)

    return TariffStep(
        above, at(rates.input), at(rates.output), at(rates.cache_read), at(rates.cache_write)
    )
