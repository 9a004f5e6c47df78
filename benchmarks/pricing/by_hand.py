"""What an answer costs by the published prices: plain arithmetic that shares no code with ours."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path
from random import Random
from typing import Any

PUBLISHED = Path(__file__).with_name("published.toml")
LAST_PLACE = Decimal("0.0000000001")
FEES = frozenset({"web_searches", "file_searches", "code_sessions"})
_FIRST_DAY, _LAST_DAY = date(2026, 11, 1), date(2026, 11, 28)


@dataclass(frozen=True, slots=True)
class Published:
    """One published price: ``units`` and ``long`` by unit, factors by service tier."""

    provider: str
    model: str
    source: str
    kinds: tuple[str, ...]
    units: Mapping[str, Decimal]
    long: Mapping[str, Decimal]
    above: int
    tiers: Mapping[str, Decimal]
    fast: Decimal | None
    us: Decimal | None
    peak: Decimal | None
    prepaid: bool
    since: date
    until: date

    def moment(self, chance: Random) -> datetime:
        """Return a time at which the price holds."""
        days = (self.until - self.since).days
        day = self.since + timedelta(days=chance.randrange(max(days, 1)))
        start = datetime(day.year, day.month, day.day, tzinfo=UTC)
        return start + timedelta(seconds=chance.randrange(86_400))


@dataclass(slots=True)
class Served:
    """How a call was served."""

    at: datetime
    tier: str = ""
    fast: bool = False
    us: bool = False
    extra: list[Decimal] = field(default_factory=list)
    """What is charged beside the call's own units, in USD."""


def read_published() -> list[Published]:
    """Return the published prices."""
    entries = tomllib.loads(PUBLISHED.read_text())["price"]
    return [_read(entry) for entry in entries]


def cost_by_hand(price: Published, units: Mapping[str, int], served: Served) -> Decimal:
    """Return the USD that a call costs: each unit times its price, rounded at the end."""
    tokens = {unit: count for unit, count in units.items() if unit not in FEES}
    size = sum(count for unit, count in tokens.items() if not unit.startswith("output"))
    table = dict(price.units)
    if price.above and size > price.above:
        table.update(price.long)
    total = Decimal(0)
    for unit, count in tokens.items():
        total += table[unit] * count / 1_000_000
    if served.tier:
        total *= price.tiers[served.tier]
    if served.fast and price.fast is not None:
        total *= price.fast
    if served.us and price.us is not None:
        total *= price.us
    if price.peak is not None and is_peak(served.at):
        total *= price.peak
    for unit in FEES & units.keys():
        total += price.units[unit] * units[unit] / 1_000
    return total.quantize(LAST_PLACE, rounding=ROUND_HALF_EVEN) + sum(served.extra, Decimal(0))


def is_peak(at: datetime) -> bool:
    """Return whether DeepSeek charges peak prices."""
    return at.weekday() < 5 and (1 <= at.hour < 4 or 6 <= at.hour < 10)


def _read(entry: Mapping[str, Any]) -> Published:
    names = {
        "provider", "model", "source", "seen", "since", "until", "kinds", "tiers", "fast", "us",
        "peak", "long", "prepaid",
    }  # fmt: skip
    long = dict(entry.get("long", {}))
    until = entry.get("until")
    since = entry.get("since") or (until - timedelta(days=5) if until else _FIRST_DAY)
    return Published(
        provider=entry["provider"],
        model=entry["model"],
        source=entry["source"],
        kinds=tuple(entry["kinds"]),
        units={unit: Decimal(price) for unit, price in entry.items() if unit not in names},
        above=long.pop("above", 0),
        long={unit: Decimal(price) for unit, price in long.items()},
        tiers={tier: Decimal(factor) for tier, factor in entry.get("tiers", {}).items()},
        fast=Decimal(entry["fast"]) if "fast" in entry else None,
        us=Decimal(entry["us"]) if "us" in entry else None,
        peak=Decimal(entry["peak"]) if "peak" in entry else None,
        prepaid=entry.get("prepaid", False),
        since=since,
        until=until or max(_LAST_DAY, since + timedelta(days=3)),
    )
