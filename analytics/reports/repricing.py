"""Savings against another baseline than the recorded one.

The baseline is one model for all requests, or the model that each request asked for.
Each request's own tokens are priced on that model at the prices of its day.
Prices are linear in tokens between the input sizes at which they change, so
SQL sums the tokens and only the sums are priced. The result is exact, except that
single requests are not rounded to ten places.

A price holds from the start of a UTC day, so a request has the same baseline in every report.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from django.db.models import Case, Count, F, IntegerField, Q, QuerySet, Sum, Value, When

from analytics.models import RequestRecord
from analytics.money import MoneySum
from analytics.reports.figures import DAY, GROUPS, Figures, no_figures, values_of
from analytics.reports.rollup_coverage import Span, day_of
from analytics.reports.sum_queries import Grouped, Step, requests_in, truncated
from analytics.reports.sum_sources import RECORDED, ReportSums
from routing.models import ModelRef

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


class TariffStep(NamedTuple):
    """USD per million tokens of requests with more than ``above`` input tokens."""

    above: int
    input: Decimal
    output: Decimal
    cache_read: Decimal
    cache_write: Decimal


Tariff = tuple[TariffStep, ...]
"""Steps from the smallest inputs to the largest; the first has ``above`` -1."""


class Baseline(NamedTuple):
    """A baseline to compare with.

    ``of`` returns the model to compare a request with, given ``column`` (by default the model
    that it asked for); ``None`` if there is none. ``tariff`` returns a model's prices at a time,
    if known.
    """

    name: str
    of: Callable[[str], ModelRef | None]
    tariff: Callable[[str, str, datetime], Tariff | None]
    column: Any = F("requested_model")


def _all(requests: QuerySet[RequestRecord]) -> QuerySet[RequestRecord]:
    return requests


class RepricedSums:
    """Sums like ``recorded`` ones, but compared with ``baseline``.

    ``within`` selects the requests that ``recorded`` sums, by default all.
    """

    def __init__(
        self,
        baseline: Baseline,
        recorded: ReportSums = RECORDED,
        within: Callable[[QuerySet[RequestRecord]], QuerySet[RequestRecord]] = _all,
    ) -> None:
        self._baseline = baseline
        self._recorded = recorded
        self._within = within

    def by(
        self, dimension: str, since: datetime, until: datetime | None = None
    ) -> dict[str, Figures]:
        """Return the figures of each value of ``dimension`` in ``[since, until)``."""
        sums = {
            value: _without_comparison(figures)
            for value, figures in self._recorded.by(dimension, since, until).items()
        }
        for row, compared in self._priced(GROUPS[dimension], since, until):
            for value in values_of(dimension, row["by"]):
                if dimension == "answer":
                    value = f"{value.partition('>')[0]}>{'/'.join(compared.model)}"
                _add(sums.setdefault(value, no_figures()), compared.figures)
        return sums

    def by_day(self, since: datetime, until: datetime | None = None) -> dict[datetime, Figures]:
        """Return the figures of each UTC day, by its start."""
        sums = {
            day: _without_comparison(figures)
            for day, figures in self._recorded.by_day(since, until).items()
        }
        for row, compared in self._priced(DAY, since, until):
            _add(sums.setdefault(row["by"], no_figures()), compared.figures)
        return sums

    def compare(
        self, recorded: Grouped, dimension: str, by: Step | None, span: Span
    ) -> dict[tuple[Any, str], Figures]:
        """Return the ``recorded`` figures of ``span`` by step and value, compared anew.

        They keep the names that they have.
        """
        sums = {key: _without_comparison(figures) for key, figures in recorded.items()}
        for row, compared in self._priced(GROUPS[dimension], *span, truncated(by, "created_at")):
            for value in values_of(dimension, row["by"]):
                if (key := (row.get("at"), value)) in sums:
                    _add(sums[key], compared.figures)
        return sums

    def comparisons(self, by: Any, span: Span, at: Any = None) -> dict[tuple[Any, Any], Figures]:
        """Return what the compared requests of ``span`` come to, by time ``at`` and by ``by``.

        Both are expressions; the time is ``None`` without one. Only figures of the comparison
        are there.
        """
        sums: dict[tuple[Any, Any], Figures] = {}
        for row, compared in self._priced(by, *span, at):
            key = (row.get("at"), row["by"])
            _add(sums.setdefault(key, _without_comparison({})), compared.figures)
        return sums

    def _priced(
        self, by: Any, since: datetime, until: datetime | None, at: Any = None
    ) -> Iterator[tuple[dict[str, Any], _Comparison]]:
        requests = self._requests((since, until))
        named = requests.order_by().annotate(named=self._baseline.column)
        names = named.values_list("named", flat=True).distinct()
        models = {name: self._baseline.of(name) for name in names}
        for span, tariffs in self._spans(set(filter(None, models.values())), since, until):
            rows = _token_sums(self._requests(span), by, at, tariffs, self._baseline.column)
            for row in rows:
                model = models.get(row["named"])
                tariff = tariffs.get(model) if model else None
                if model is not None and tariff is not None:
                    yield row, _compare(row, model, tariff)

    def _requests(self, span: Span | tuple[datetime, datetime | None]) -> Any:
        return self._within(requests_in(*span).filter(_ANSWERED))

    def _spans(
        self, models: set[ModelRef], since: datetime, until: datetime | None
    ) -> Iterator[tuple[Span, dict[ModelRef, Tariff]]]:
        """Yield the spans of the period over which no price changes, with their tariffs."""
        until = until or datetime.now(UTC) + timedelta(minutes=1)
        day = day_of(since)
        start, tariffs = since, self._tariffs(models, day)
        while (day := day + timedelta(days=1)) < until:
            if (new_tariffs := self._tariffs(models, day)) != tariffs:
                yield (start, day), tariffs
                start, tariffs = day, new_tariffs
        yield (start, until), tariffs

    def _tariffs(self, models: set[ModelRef], at: datetime) -> dict[ModelRef, Tariff]:
        tariffs = {model: self._baseline.tariff(*model, at) for model in models}
        return {model: tariff for model, tariff in tariffs.items() if tariff is not None}


class _Comparison(NamedTuple):
    """The baseline's model, and the figures of requests compared with it."""

    model: ModelRef
    figures: dict[str, Any]


def input_size(starts: Iterable[int]) -> Case:
    """Return the greatest of ``starts`` that a request's input tokens exceed, else -1."""
    return Case(
        *(
            When(tokens_in__gt=start, then=Value(start))
            for start in sorted(set(starts) - {-1}, reverse=True)
        ),
        default=Value(-1),
        output_field=IntegerField(),
    )


def _token_sums(
    requests: Any, by: Any, at: Any, tariffs: dict[ModelRef, Tariff], column: Any
) -> Any:
    times = {} if at is None else {"at": at}
    size = input_size(step.above for tariff in tariffs.values() for step in tariff)
    hit = Q(cache_hit=True)
    return (
        requests.annotate(
            by=by, above=size, explored=F("decision__explored"), named=column, **times
        )
        .values("by", "above", "explored", "named", *times)
        .annotate(
            paired=Count("pk"),
            spent=MoneySum("cost"),
            hits_cost=MoneySum("original_cost", filter=hit),
            input_tokens=Sum("tokens_in", default=0),
            output_tokens=Sum("tokens_out", default=0),
            cache_read=Sum("cache_read_tokens", default=0),
            cache_write=Sum("cache_write_tokens", default=0),
        )
        .order_by()
    )


def charge_for(row: Mapping[str, Any], tariff: Tariff) -> tuple[Decimal, Decimal]:
    """Return the USD that the tokens of ``row`` cost at ``tariff``: (input, output).

    ``row`` has ``input_tokens``, ``output_tokens``, ``cache_read`` and ``cache_write`` (tokens
    of the prompt cache), and the input size that it is ``above``.
    """
    step = max(step for step in tariff if step.above <= row["above"])
    uncached = row["input_tokens"] - row["cache_read"] - row["cache_write"]
    input_ = step.input * uncached
    input_ += step.cache_read * row["cache_read"] + step.cache_write * row["cache_write"]
    output = (step.output * row["output_tokens"] / _MILLION).quantize(_PLACES)
    return (input_ / _MILLION).quantize(_PLACES), output


def _compare(row: dict[str, Any], model: ModelRef, tariff: Tariff) -> _Comparison:
    input_, output = charge_for(row, tariff)
    baseline = input_ + output
    routing = baseline - row["spent"] - row["hits_cost"]
    return _Comparison(
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
    zero = no_figures()
    return {**figures, **{name: zero[name] for name in _COMPARED}}


def _add(total: Figures, more: dict[str, Any]) -> None:
    for name in _COMPARED:
        total[name] += more[name]
