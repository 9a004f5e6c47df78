"""Prices that operators set for certain days, from a list that is read again as a whole."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal


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
