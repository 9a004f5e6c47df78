"""Spreads what is judged over the day, whatever the judge's budget.

If a budget were spent by the morning, only the morning's requests would be judged, and quality
at other hours would go unnoticed. So a share of the sample is judged that the budget can pay for,
from yesterday's requests and the latest costs. The share is the same for all hours of a day, so
that each request is as likely to be judged. If it still proves too large, an hour may not spend
what later hours need.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from django.db.models import Avg, F, Sum

from analytics.models import Comparison, DailyTotal
from analytics.quality.report import judging_cost

_HOURS = 24
_LEARNED_FROM = timedelta(days=7)
_RESERVE = 0.9
"""The part of the budget that is planned for, as days and costs differ."""


@dataclass(frozen=True, slots=True)
class Pace:
    """The ``share`` (0-1) of the sample to judge; ``spent`` if this hour may spend no more."""

    share: float
    spent: bool


class JudgePace:
    """Reads how much may be judged now. Reads the database: not for the event loop.

    ``source`` is the source of the comparisons that the budget pays for.
    """

    def __init__(
        self, rate: float, daily_budget: Decimal, source: str = Comparison.Source.JUDGE
    ) -> None:
        self._source = source
        self._rate = rate
        self._budget = daily_budget
        self._share = 1.0
        self._share_of: datetime | None = None
        self._sampled = self._suitable = 0

    def sampled(self, *, suitable: bool) -> None:
        """Note an answer of the sample: not all are suitable, as those with tools are not."""
        self._sampled += 1
        self._suitable += suitable

    def now(self, now: datetime | None = None) -> Pace:
        """Return the pace at this moment; the share is read once an hour."""
        now = now or datetime.now(UTC)
        today = now.replace(hour=0, minute=0, second=0, microsecond=0)
        allowed = self._budget * (now.hour + 1) / _HOURS
        hour = today.replace(hour=now.hour)
        if hour != self._share_of:
            self._share, self._share_of = self._share_on(today), hour
        return Pace(self._share, judging_cost(today, source=self._source) >= allowed)

    def _share_on(self, today: datetime) -> float:
        """Return the share that the budget can pay for; 1 while nothing is known of costs."""
        yesterday = DailyTotal.objects.filter(date=(today - timedelta(days=1)).date())
        sums = yesterday.aggregate(
            answered=Sum(F("requests") - F("errors") - F("cache_hits"), default=0)
        )
        recent = Comparison.objects.filter(
            source=self._source,
            created_at__gte=today - _LEARNED_FROM,
            created_at__lt=today,
        )
        each = recent.aggregate(cost=Avg(F("judge_cost") + F("answer_cost")))["cost"]
        suitable = (self._suitable + 1) / (self._sampled + 1)
        expected = float(each or 0) * sums["answered"] * self._rate * suitable
        return min(1.0, _RESERVE * float(self._budget) / expected) if expected else 1.0
