"""Savings against another baseline than the recorded one: a model always, or the one asked for.

Each request's own tokens are priced on that model at the prices of its day.
Prices are linear in tokens between the sizes of input at which they change, so
SQL sums the tokens and only the sums are priced: exact, but for the rounding of
single requests to ten places.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from django.db.models import Case, Count, F, IntegerField, Q, Sum, Value, When

from analytics.models import RequestRecord
from analytics.money import MoneySum
from analytics.reports.figures import DAY, KEPT, Figures, no_figures, values_of
from analytics.reports.spans import Span
from analytics.reports.summing import requests_in
from analytics.reports.sums import RECORDED

_MILLION = Decimal(1_000_000)
_PLACES = Decimal("1e-10")
_COMPARED = (
    "paired", "paired_cost", "baseline_cost", "baseline_output_cost", "routing_saved",
    "cache_saved", "explored_saved",
)  # fmt: skip
_ANSWERED = (
    ~Q(status=RequestRecord.Status.ERROR)
    & Q(cost__isnull=False, decision__isnull=False)
    & (Q(cache_hit=False) | Q(original_cost__isnull=False))
)

Model = tuple[str, str]
"""(provider, model)"""


class TariffStep(NamedTuple):
    """USD per million tokens of requests with more than ``above`` input tokens."""

    above: int
    input: Decimal
    output: Decimal
    cache_read: Decimal
    cache_write: Decimal


Tariff = tuple[TariffStep, ...]
"""From the smallest requests to the largest; the first is above -1."""


class Baseline(NamedTuple):
    """``of`` names the model to compare a request with, by the model it asked for, ``None``
    where there is none; ``tariff`` is what a model charges at a time, if known.
    """

    name: str
    of: Callable[[str], Model | None]
    tariff: Callable[[str, str, datetime], Tariff | None]


class RepricedSums:
    """Sums like the recorded ones, compared with ``baseline`` instead."""

    def __init__(self, baseline: Baseline) -> None:
        self._baseline = baseline

    def by(
        self, dimension: str, since: datetime, until: datetime | None = None
    ) -> dict[str, Figures]:
        sums = {
            value: _without_comparison(figures)
            for value, figures in RECORDED.by(dimension, since, until).items()
        }
        for row, compared in self._priced(KEPT[dimension], since, until):
            for value in values_of(dimension, row["by"]):
                if dimension == "answer":
                    value = f"{value.partition('>')[0]}>{'/'.join(compared.model)}"
                _add(sums.setdefault(value, no_figures()), compared.figures)
        return sums

    def by_day(self, since: datetime, until: datetime | None = None) -> dict[datetime, Figures]:
        sums = {
            day: _without_comparison(figures)
            for day, figures in RECORDED.by_day(since, until).items()
        }
        for row, compared in self._priced(DAY, since, until):
            _add(sums.setdefault(row["by"], no_figures()), compared.figures)
        return sums

    def _priced(
        self, by: Any, since: datetime, until: datetime | None
    ) -> Iterator[tuple[dict[str, Any], _Compared]]:
        asked = requests_in(since, until).filter(_ANSWERED)
        names = asked.order_by().values_list("requested_model", flat=True).distinct()
        models = {name: self._baseline.of(name) for name in names}
        for span, tariffs in self._spans(set(filter(None, models.values())), since, until):
            for row in _token_sums(by, span, tariffs):
                model = models[row["requested_model"]]
                tariff = tariffs.get(model) if model else None
                if model is not None and tariff is not None:
                    yield row, _compare(row, model, tariff)

    def _spans(
        self, models: set[Model], since: datetime, until: datetime | None
    ) -> Iterator[tuple[Span, dict[Model, Tariff]]]:
        """The period in stretches over which no price changes."""
        until = until or datetime.now(UTC) + timedelta(minutes=1)
        start, known = since, self._tariffs(models, since)
        day = since.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        while (day := day + timedelta(days=1)) < until:
            if (found := self._tariffs(models, day)) != known:
                yield (start, day), known
                start, known = day, found
        yield (start, until), known

    def _tariffs(self, models: set[Model], at: datetime) -> dict[Model, Tariff]:
        found = {model: self._baseline.tariff(*model, at) for model in models}
        return {model: tariff for model, tariff in found.items() if tariff is not None}


class _Compared(NamedTuple):
    model: Model
    figures: dict[str, Any]


def input_size(starts: Iterable[int]) -> Case:
    """The greatest of ``starts`` that a request's input tokens pass, -1 where they pass none."""
    return Case(
        *(
            When(tokens_in__gt=start, then=Value(start))
            for start in sorted(set(starts) - {-1}, reverse=True)
        ),
        default=Value(-1),
        output_field=IntegerField(),
    )


def _token_sums(by: Any, span: Span, tariffs: dict[Model, Tariff]) -> Any:
    size = input_size(step.above for tariff in tariffs.values() for step in tariff)
    hit = Q(cache_hit=True)
    return (
        requests_in(*span)
        .filter(_ANSWERED)
        .annotate(by=by, above=size, explored=F("decision__explored"))
        .values("by", "above", "explored", "requested_model")
        .annotate(
            paired=Count("pk"),
            spent=MoneySum("cost"),
            hits_cost=MoneySum("original_cost", filter=hit),
            asked=Sum("tokens_in", default=0),
            answered=Sum("tokens_out", default=0),
            read=Sum("cache_read_tokens", default=0),
            written=Sum("cache_write_tokens", default=0),
        )
        .order_by()
    )


def charge_for(row: Mapping[str, Any], tariff: Tariff) -> tuple[Decimal, Decimal]:
    """USD that the tokens of ``row`` (asked, answered, read from and written to the prompt
    cache, of inputs ``above`` a size) cost at ``tariff``: for input, for output.
    """
    step = max(step for step in tariff if step.above <= row["above"])
    fresh = row["asked"] - row["read"] - row["written"]
    asked = step.input * fresh + step.cache_read * row["read"] + step.cache_write * row["written"]
    output = (step.output * row["answered"] / _MILLION).quantize(_PLACES)
    return (asked / _MILLION).quantize(_PLACES), output


def _compare(row: dict[str, Any], model: Model, tariff: Tariff) -> _Compared:
    asked, output = charge_for(row, tariff)
    baseline = asked + output
    routing = baseline - row["spent"] - row["hits_cost"]
    return _Compared(
        model,
        {
            "paired": row["paired"],
            "paired_cost": row["spent"],
            "baseline_cost": baseline,
            "baseline_output_cost": output,
            "routing_saved": routing,
            "cache_saved": row["hits_cost"],
            "explored_saved": routing if row["explored"] else Decimal(0),
        },
    )


def _without_comparison(figures: Figures) -> Figures:
    nothing = no_figures()
    return {**figures, **{name: nothing[name] for name in _COMPARED}}


def _add(total: Figures, more: dict[str, Any]) -> None:
    for name in _COMPARED:
        total[name] += more[name]
