"""The baselines of reports: the recorded one, complexity's choice, one model, or the requested."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db.models import TextField, Value
from django.db.models.fields.json import KeyTextTransform, KeyTransform
from django.db.models.functions import Concat

from analytics.reports.compared import ComparedWith
from analytics.reports.report import COMPLEXITY
from analytics.reports.repricing import Baseline, Tariff, TariffStep
from optimizer.domain.model_names import ModelNames, UnknownModel
from optimizer.pricing.baseline_choice import BaselineChoice
from providers.pricing import PriceBook
from providers.rates import Rate, Rates
from routing.models import TIERS, ModelRef

_FIRST = KeyTransform(0, KeyTransform("baseline_chain", "decision__metadata"))
_COMPLEXITY_CHOICE = Concat(
    KeyTextTransform("provider", _FIRST),
    Value("/"),
    KeyTextTransform("model", _FIRST),
    output_field=TextField(),
)
"""The first model of complexity's chain, as provider/model, of a request's decision."""


class UnknownBaseline(ValueError):
    """There is no baseline with this name; the message lists the possible ones."""


@dataclass(frozen=True, slots=True)
class Baselines:
    """Finds a baseline by its name."""

    names: ModelNames
    prices: PriceBook
    choice: BaselineChoice

    def named(self, name: str) -> ComparedWith:
        """Return what to compare with: "recorded", "complexity", "requested" or a model's name.

        Raises :class:`UnknownBaseline`.
        """
        label, baseline = self._found(name)
        return ComparedWith(name, label, baseline, self.offered())

    def _found(self, name: str) -> tuple[str, Baseline | None]:
        if name == "recorded":
            return self.choice.name, None
        if name == "complexity":
            chosen = Baseline(COMPLEXITY, _reference, self._tariff, _COMPLEXITY_CHOICE)
            return chosen.name, chosen
        if name == "requested":
            requested = Baseline("the model asked for", self._requested, self._tariff)
            return requested.name, requested
        try:
            model = self.names.one(name)
        except UnknownModel as error:
            raise UnknownBaseline(
                f"{error} Compare with recorded, complexity, requested or a model of the catalogue."
            ) from None
        if self.prices.rates(*model) is None:
            raise UnknownBaseline(f"No price is known for {'/'.join(model)}.")
        always = Baseline(f"always {'/'.join(model)}", lambda _: model, self._tariff)
        return always.name, always

    def offered(self) -> list[tuple[str, str]]:
        """Return names that :meth:`named` takes and their texts; of models, the highest tier's."""
        kinds = [
            ("recorded", self.choice.name),
            ("requested", "the model asked for"),
            ("complexity", COMPLEXITY),
        ]
        models = [str(ref) for ref in self.names.chat_models(TIERS[-1]) if self.prices.rates(*ref)]
        return [*kinds, *((name, f"always {name}") for name in models)]

    def _requested(self, requested_model: str) -> ModelRef | None:
        try:
            return self.names.one(requested_model)
        except UnknownModel:
            return None  # "auto", no model, or a model that is no longer in the catalogue

    def _tariff(self, provider: str, model: str, at: datetime) -> Tariff | None:
        rates = self.prices.rates(provider, model, at)
        return None if rates is None else tariff_of(rates)


def _reference(name: str) -> ModelRef | None:
    provider, _, model = (name or "").partition("/")
    return ModelRef(provider, model) if provider and model else None


def tariff_of(rates: Rates) -> Tariff:
    """Return the tariff with one step per input size at which a rate changes."""
    known = [rate for rate in (rates.input, rates.output, rates.cache_read, rates.cache_write)
              if rate is not None]  # fmt: skip
    starts = sorted({start for rate in known for start, _ in rate.tiers})
    return tuple(_step(rates, above) for above in (-1, *starts))


def _step(rates: Rates, above: int) -> TariffStep:
    def at(rate: Rate | None) -> Decimal:
        return (rate or rates.input).at(above + 1)

    return TariffStep(
        above, at(rates.input), at(rates.output), at(rates.cache_read), at(rates.cache_write)
    )
