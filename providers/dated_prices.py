"""Prices that operators set, each for a model and from one day to another."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class DatedPrice:
    """``price`` is USD per million tokens by unit, as in the catalogue; it holds on UTC days
    from ``since`` until before ``until``, ``None`` for no end.
    """

    provider: str
    model: str
    price: Mapping[str, Decimal]
    since: date
    until: date | None = None

    def holds_on(self, day: date) -> bool:
        return self.since <= day and (self.until is None or day < self.until)


class DatedPrices:
    """All of them, by model; replaced as a whole."""

    def __init__(self) -> None:
        self._by_model: dict[tuple[str, str], list[DatedPrice]] = {}

    def replace(self, prices: Iterable[DatedPrice]) -> None:
        found: dict[tuple[str, str], list[DatedPrice]] = defaultdict(list)
        for price in prices:
            found[price.provider, price.model].append(price)
        self._by_model = dict(found)

    def on(self, provider: str, model: str, day: date) -> Mapping[str, Decimal] | None:
        """What was set for that day, if anything."""
        for dated in self._by_model.get((provider, model), ()):
            if dated.holds_on(day):
                return dated.price
        return None
