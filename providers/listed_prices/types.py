"""The constructors that the table of the ``genai-prices`` package calls, and what they answer.

They do what those of the package do, for all that the service asks of them; tests compare both.
What nobody asks for, such as how to read a provider's answers, is not kept.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any, Protocol

from providers.listed_prices.name_clauses import (
    ClauseAnd,
    ClauseContains,
    ClauseEndsWith,
    ClauseEquals,
    ClauseOr,
    ClauseRegex,
    ClauseStartsWith,
    MatchLogic,
)

__all__ = [
    "ArrayMatch", "ClauseAnd", "ClauseContains", "ClauseEndsWith", "ClauseEquals", "ClauseOr",
    "ClauseRegex", "ClauseStartsWith", "ConditionalPrice", "ModelInfo", "ModelPrice",
    "PriceVariant", "Provider", "StartDateConstraint", "Tier", "TieredPrices",
    "TimeOfDateConstraint", "UsageExtractor", "UsageExtractorMapping",
]  # fmt: skip

_COMPACT_DATE = re.compile(r"(-)(20\d{2})(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(?=-|:|$)")


class Constraint(Protocol):
    """Decides when a price applies."""

    def active(self, request_timestamp: datetime) -> bool:
        """Return whether the price applies at this time, which is UTC without a zone."""
        ...


@dataclass(slots=True)
class PriceTier:
    """The price in USD per million tokens from ``start`` tokens on."""

    start: int
    price: Decimal


@dataclass(slots=True)
class TieredPrices:
    """A price by the number of input tokens, which applies to all tokens of a request."""

    base: Decimal
    tiers: list[PriceTier]

    def __post_init__(self) -> None:
        self.tiers.sort(key=lambda tier: tier.start)


class TablePrices:
    """Prices by unit, as attributes; those that are not known are absent or ``None``."""

    def __init__(self, **prices: Decimal | TieredPrices | None) -> None:
        for unit, price in prices.items():
            setattr(self, unit, price)


@dataclass(slots=True)
class StartDateConstraint:
    """Holds from a day on, which begins at midnight UTC."""

    start_date: date

    def active(self, request_timestamp: datetime) -> bool:
        """Return whether the day has begun."""
        return _in_utc(request_timestamp).date() >= self.start_date


@dataclass(slots=True)
class TimeOfDateConstraint:
    """Holds between two times of each day, which may lie on both sides of midnight."""

    start_time: time
    end_time: time

    def active(self, request_timestamp: datetime) -> bool:
        """Return whether it is between both times."""
        now = _in_utc(request_timestamp).timetz()
        start, end = _time_in_utc(self.start_time), _time_in_utc(self.end_time)
        if end < start:
            return now >= start or now < end
        return start <= now < end


def _in_utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _time_in_utc(value: time) -> time:
    if value.tzinfo is None:
        return value.replace(tzinfo=UTC)
    return datetime.combine(date(1970, 1, 1), value).astimezone(UTC).timetz()


@dataclass(slots=True)
class ConditionalPrice:
    """Prices that apply while ``constraint`` holds; always without one."""

    constraint: Constraint | None = None
    _: KW_ONLY
    prices: TablePrices


@dataclass(slots=True)
class PriceVariant:
    """Prices of requests that are served in another way, such as by a batch."""

    when: dict[str, str]
    prices: TablePrices
    constraint: Constraint | None = None


@dataclass(slots=True, init=False)
class ModelInfo:
    """A model of the table; the last of its ``prices`` whose condition holds applies."""

    id: str
    match: MatchLogic
    context_window: int | None
    deprecated: bool | None
    prices: TablePrices | list[ConditionalPrice]
    price_variants: list[PriceVariant] | None

    def __init__(
        self,
        id: str,  # noqa: A002 - the table names it
        match: MatchLogic,
        name: str | None = None,
        description: str | None = None,
        context_window: int | None = None,
        price_comments: str | None = None,
        deprecated: bool | None = None,
        prices: TablePrices | list[ConditionalPrice] | None = None,
        price_variants: list[PriceVariant] | None = None,
    ) -> None:
        self.id, self.match, self.context_window = id, match, context_window
        self.deprecated, self.price_variants = deprecated, price_variants
        self.prices = [] if prices is None else prices

    def get_prices(
        self, request_timestamp: datetime, price_context: Mapping[str, str] | None = None
    ) -> TablePrices:
        """Return the prices at a time, of requests that are served as ``price_context`` says."""
        standard = self._standard(request_timestamp)
        if not price_context:
            return standard
        own: dict[str, Any] = {}
        for variant in self.price_variants or ():
            if variant.constraint is not None and not variant.constraint.active(request_timestamp):
                continue
            if any(price_context.get(name) != value for name, value in variant.when.items()):
                continue
            for unit, price in vars(variant.prices).items():
                if price is not None:
                    own.setdefault(unit, price)
        return TablePrices(**{**vars(standard), **own})

    def _standard(self, at: datetime) -> TablePrices:
        if isinstance(self.prices, TablePrices):
            return self.prices
        for conditional in reversed(self.prices):
            if conditional.constraint is None or conditional.constraint.active(at):
                return conditional.prices
        return self.prices[0].prices


@dataclass(slots=True, init=False)
class ListedProvider:
    """A provider of the table, and whose models it serves beside its own."""

    id: str
    fallback_model_providers: list[str]
    models: list[ModelInfo]

    def __init__(
        self,
        id: str,  # noqa: A002 - the table names it
        name: str,
        api_pattern: str,
        pricing_urls: Any = None,
        description: Any = None,
        price_comments: Any = None,
        model_match: Any = None,
        provider_match: Any = None,
        extractors: Any = None,
        fallback_model_providers: list[str] | None = None,
        models: list[ModelInfo] | None = None,
    ) -> None:
        self.id, self.models = id, models or []
        self.fallback_model_providers = fallback_model_providers or []

    def find_model(
        self, model_ref: str, *, all_providers: Sequence[ListedProvider] = ()
    ) -> ModelInfo | None:
        """Return the model that ``model_ref`` means, also of providers whose models it serves.

        A date may be written without hyphens.
        """
        name = model_ref.lower()
        model = self._find(name, all_providers)
        if model is None and (dated := _COMPACT_DATE.sub(_with_hyphens, name)) != name:
            model = self._find(dated, all_providers)
        return model

    def _find(self, name: str, others: Sequence[ListedProvider]) -> ModelInfo | None:
        for own in self.models:
            if own.match.is_match(name):
                return own
        for other_id in self.fallback_model_providers if others else ():
            other = next((other for other in others if other.id == other_id), None)
            if other is not None and (model := other._find(name, ())) is not None:
                return model
        return None


def _with_hyphens(match: re.Match[str]) -> str:
    year, month, day = (int(match.group(index)) for index in range(2, 5))
    try:
        date(year, month, day)
    except ValueError:
        return match.group(0)
    return f"{match.group(1)}{year:04d}-{month:02d}-{day:02d}"


def _not_kept(*_: Any, **__: Any) -> None:
    """Take the place of what reads the answers of providers, which :mod:`providers` does."""


ArrayMatch = UsageExtractor = UsageExtractorMapping = _not_kept
ModelPrice, Provider, Tier = TablePrices, ListedProvider, PriceTier
