"""Rules of the catalogue that change the price table: by hour, day, date, tier and place.

A rule names the conditions under which it holds and the prices that hold then. Rules are
applied one after the other: a later one changes what those before it left.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from fnmatch import fnmatchcase
from typing import Any

from providers.fees import FEE_UNITS, fees_of
from providers.rates import MEDIA_UNITS, TOKEN_UNITS, Rate, Rates

PRICE_UNITS = (*TOKEN_UNITS, *MEDIA_UNITS, *FEE_UNITS)
"""Units of a price in the catalogue: USD per million tokens, fees in USD per thousand."""
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_HOURS = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")
_CONDITIONS = frozenset(
    {
        "provider", "models", "service_tier", "speed", "geography", "hours", "days", "since",
        "until", "above", "of_excess", "factor", "source",
    }
)  # fmt: skip
_QUARTER = 15


class PriceRuleError(ValueError):
    """A rule cannot be used; the message names what is wrong."""


@dataclass(frozen=True, slots=True)
class PriceRule:
    """Prices that hold for some models of a provider, under conditions.

    ``models`` are patterns, empty for all. ``service_tier``, ``speed`` and ``geography`` are
    those that served the call, ``None`` if any may be; "*" is any but the standard one.
    ``hours`` are from one UTC time to another, ``days`` UTC weekdays (0 is Monday), and the rule
    holds from the UTC day ``since`` until before ``until``.

    ``prices`` are by unit. ``factor`` multiplies the rates of all tokens, fees excepted.
    ``above`` makes the prices a step for calls with more input tokens, which applies to all
    tokens, or to those beyond it if it is ``of_excess``.
    """

    provider: str
    models: tuple[str, ...] = ()
    service_tier: str | None = None
    speed: str | None = None
    geography: str | None = None
    hours: tuple[time, time] | None = None
    days: frozenset[int] = frozenset()
    since: date | None = None
    until: date | None = None
    prices: Mapping[str, Decimal] | None = None
    factor: Decimal | None = None
    above: int = 0
    of_excess: bool = False

    @property
    def is_whole(self) -> bool:
        """Return whether the rule is a price of its own, for a model without one."""
        return bool(self.prices and self.models and "input" in self.prices and not self.above)

    def is_for(self, names: Iterable[str]) -> bool:
        """Return whether the rule is for a model with one of these names."""
        if not self.models:
            return True
        return any(fnmatchcase(name, pattern) for name in names for pattern in self.models)

    def holds(self, at: datetime, service_tier: str, speed: str, geography: str) -> bool:
        """Return whether the conditions are met for a call at ``at`` (aware)."""
        return (
            _is(self.service_tier, service_tier)
            and _is(self.speed, speed)
            and _is(self.geography, geography)
            and self._holds_at(at.astimezone(UTC))
        )

    def _holds_at(self, at: datetime) -> bool:
        day = at.date()
        if self.days and day.weekday() not in self.days:
            return False
        if (self.since is not None and day < self.since) or (
            self.until is not None and day >= self.until
        ):
            return False
        if self.hours is None:
            return True
        begin, end, now = *self.hours, at.time()
        return begin <= now < end if begin < end else now >= begin or now < end

    def apply(self, rates: Rates) -> Rates:
        """Return ``rates`` with what the rule says."""
        if self.factor is not None:
            rates = rates.times(self.factor)
        if not self.prices:
            return rates
        known, changed = rates.by_unit(), {}
        for unit, price in self.prices.items():
            if unit in FEE_UNITS:
                continue
            base = known.get(unit) or known["input"]
            if not self.above:
                changed[unit] = Rate(price)
            else:
                tiers = [tier for tier in base.tiers if tier[0] != self.above]
                tiers.append((self.above, price))
                changed[unit] = Rate(base.base, tuple(sorted(tiers)), self.of_excess)
        return replace(rates.with_units(changed), fees=fees_of(self.prices, rates.fees))


def apply_rules(
    rules: Sequence[PriceRule],
    rates: Rates,
    at: datetime,
    served: tuple[str, str, str],
    *,
    factors_only: bool = False,
) -> Rates:
    """Return ``rates`` after the rules that hold for a call; ``served`` is tier, speed, place.

    ``factors_only`` leaves out the prices: a price that an operator agreed on replaces them.
    """
    for rule in rules:
        if (not factors_only or not rule.prices) and rule.holds(at, *served):
            rates = rule.apply(rates)
    return rates


def read_rule(entry: Mapping[str, Any]) -> PriceRule:
    """Return the rule that an entry of the catalogue describes. Raises :class:`PriceRuleError`."""
    if unknown := set(entry) - _CONDITIONS - set(PRICE_UNITS):
        raise PriceRuleError(f"unknown fields: {', '.join(sorted(unknown))}")
    prices = {unit: _amount(unit, entry[unit]) for unit in PRICE_UNITS if unit in entry}
    factor = _amount("factor", entry["factor"]) if "factor" in entry else None
    if not prices and factor is None:
        raise PriceRuleError("give prices or a factor")
    above = entry.get("above", 0)
    if not isinstance(above, int) or above < 0:
        raise PriceRuleError("above must be a number of tokens")
    provider = entry.get("provider")
    if not isinstance(provider, str) or not provider:
        raise PriceRuleError("provider must be a name")
    return PriceRule(
        provider=provider,
        models=_texts("models", entry.get("models", ())),
        service_tier=entry.get("service_tier"),
        speed=entry.get("speed"),
        geography=entry.get("geography"),
        hours=_hours(entry["hours"]) if "hours" in entry else None,
        days=_days(entry.get("days", ())),
        since=_date("since", entry.get("since")),
        until=_date("until", entry.get("until")),
        prices=prices or None,
        factor=factor,
        above=above,
        of_excess=bool(entry.get("of_excess", False)),
    )


def _is(wanted: str | None, served: str) -> bool:
    return wanted is None or wanted == served or (wanted == "*" and bool(served))


def _amount(name: str, value: Any) -> Decimal:
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        raise PriceRuleError(f"{name} is not a number") from None
    if not amount.is_finite() or amount < 0:
        raise PriceRuleError(f"{name} must be zero or more")
    return amount


def _texts(name: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)) or not all(isinstance(item, str) for item in value):
        raise PriceRuleError(f"{name} must be a list of texts")
    return tuple(value)


def _hours(value: Any) -> tuple[time, time]:
    match = _HOURS.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise PriceRuleError('hours must be UTC times such as "16:30-00:30"')
    first, second, third, fourth = map(int, match.groups())
    if second % _QUARTER or fourth % _QUARTER or (first, second) == (third, fourth):
        raise PriceRuleError("hours must begin and end at different quarters of an hour")
    return time(first, second), time(third, fourth)


def _days(value: Any) -> frozenset[int]:
    names = [name.lower()[:3] for name in _texts("days", value)]
    if unknown := set(names) - set(_DAYS):
        raise PriceRuleError(f"unknown days: {', '.join(sorted(unknown))}")
    return frozenset(map(_DAYS.index, names))


def _date(name: str, value: Any) -> date | None:
    if value is None:
        return None
    if isinstance(value, datetime) or not isinstance(value, date):
        raise PriceRuleError(f"{name} must be a date such as 2026-11-01, without quotes")
    return value
