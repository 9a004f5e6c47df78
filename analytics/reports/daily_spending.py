"""What each day cost, what the month will cost at this pace, and days that were unusually dear."""

from __future__ import annotations

from calendar import monthrange
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from statistics import median

from analytics.models import DailyTotal
from analytics.money import MoneySum
from analytics.reports.rollup_coverage import start_of_day

_ZERO = Decimal(0)
_PACE_DAYS = 7
"""The forecast goes on as the latest so many whole days, so that it has each weekday once."""
_USUAL_DAYS, _FEWEST_DAYS = 28, 7
_UNUSUAL = 3
"""A day that cost more than so many times a usual day is unusual."""
_LEAST_SHARE = Decimal("0.02")
"""A day that cost less than this share of the 28 days before is not worth a look."""


@dataclass(frozen=True, slots=True)
class UnusualDay:
    """A day that cost ``times`` as much as a usual one; ``provider/model`` cost most of it."""

    day: date
    cost: Decimal
    times: float
    provider: str
    model: str


@dataclass(frozen=True, slots=True)
class MonthForecast:
    """What the month of ``day`` cost so far and, at the latest pace, by its end, in USD."""

    day: date
    spent: Decimal
    expected: Decimal


@dataclass(frozen=True, slots=True)
class DailySpending:
    """Costs (USD) of UTC days: in all, and by day and model."""

    by_day: Mapping[date, Decimal]
    by_model: Mapping[date, Mapping[tuple[str, str], Decimal]]

    @classmethod
    def since(cls, first: date) -> DailySpending:
        """Read the costs from the day ``first`` on."""
        rows = (
            DailyTotal.objects.filter(date__gte=first)
            .values("date", "provider", "model")
            .annotate(spent=MoneySum("cost"))
            .order_by("date")
        )
        by_day: dict[date, Decimal] = defaultdict(lambda: _ZERO)
        by_model: dict[date, dict[tuple[str, str], Decimal]] = defaultdict(dict)
        for row in rows:
            by_day[row["date"]] += row["spent"]
            by_model[row["date"]][row["provider"], row["model"]] = row["spent"]
        return cls(dict(by_day), dict(by_model))

    def days(self, first: date, last: date) -> list[tuple[date, Decimal]]:
        """Return each day from ``first`` to ``last`` with its cost."""
        count = (last - first).days + 1
        days = (first + timedelta(days=place) for place in range(max(0, count)))
        return [(day, self.by_day.get(day, _ZERO)) for day in days]

    def forecast(self, now: datetime) -> MonthForecast | None:
        """Return the forecast of this month, ``None`` without a whole day of traffic before."""
        today = now.astimezone(UTC).date()
        latest = self.days(today - timedelta(days=_PACE_DAYS), today - timedelta(days=1))
        began = min((day for day, cost in self.by_day.items() if cost), default=today)
        latest = [(day, cost) for day, cost in latest if day >= began]
        if not latest:
            return None
        pace = sum((cost for _, cost in latest), _ZERO) / len(latest)
        spent = sum((cost for _, cost in self.days(today.replace(day=1), today)), _ZERO)
        passed = Decimal((now.astimezone(UTC) - start_of_day(today)).total_seconds()) / 86_400
        left = monthrange(today.year, today.month)[1] - today.day + (1 - passed)
        return MonthForecast(today, spent, spent + pace * left)

    def unusual(self, first: date, last: date) -> list[UnusualDay]:
        """Return the unusually dear days from ``first`` to ``last``, the dearest first."""
        unusual = []
        for day, cost in self.days(first, last):
            before = [
                spent
                for other, spent in self.days(
                    day - timedelta(days=_USUAL_DAYS), day - timedelta(days=1)
                )
                if spent
            ]
            if len(before) < _FEWEST_DAYS:
                continue
            usual = median(before)
            if cost > _UNUSUAL * usual and cost > _LEAST_SHARE * sum(before):
                models = self.by_model[day]
                provider, model = max(models, key=lambda ref: models[ref])
                unusual.append(UnusualDay(day, cost, float(cost / usual), provider, model))
        return sorted(unusual, key=lambda each: -each.cost)
