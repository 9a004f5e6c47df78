"""Running sums of the requests of the day and of the last minutes."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import Value
from django.db.models.functions import TruncMinute

from analytics.ledger.daily_totals import minute_sums, sums_since
from analytics.reports.compared import ComparedWith, saved
from analytics.reports.sum_queries import requests_in
from optimizer.monitoring.live.request_event import RequestEvent

_MINUTES = 30


@dataclass(slots=True)
class LiveSums:
    """The number of requests and of failed ones, and the USD spent and saved."""

    requests: int = 0
    failed: int = 0
    spent: Decimal = Decimal(0)
    saved: Decimal = Decimal(0)

    def add(self, event: RequestEvent) -> None:
        """Add one request."""
        self.requests += 1
        self.failed += event["status"] == "error"
        self.spent += Decimal(event["cost"] or 0)
        self.saved += Decimal(event["saved"] or 0)

    def as_dict(self) -> dict[str, Any]:
        """Return the sums, ready for JSON: USD as decimal text."""
        return {
            "requests": self.requests,
            "failed": self.failed,
            "spent": f"{self.spent:f}",
            "saved": f"{self.saved:f}",
        }


class RunningSums:
    """Sums of the UTC day, and of each of the last thirty minutes with requests."""

    def __init__(self) -> None:
        self._day = datetime.now(UTC).date()
        self._today = LiveSums()
        self._minutes: dict[datetime, LiveSums] = defaultdict(LiveSums)
        self._changed: set[datetime] = set()

    def read(self, compared: ComparedWith | None = None) -> None:
        """Start with what is already recorded. Reads the database.

        Savings are ``compared`` with its baseline, by default the recorded one.
        """
        now = datetime.now(UTC)
        self._day = now.date()
        today = sums_since(self._day)
        self._today = LiveSums(today["total_requests"], 0, today["spent"], today["saved"])
        for minute, figures in minute_sums(self._first_minute(now)).items():
            self._minutes[minute] = LiveSums(**figures)
        if compared is not None and compared.baseline is not None:
            self._compare(compared, now)
        self._changed = set(self._minutes)

    def add(self, event: RequestEvent) -> None:
        """Add one request to its day and its minute; older minutes are dropped."""
        at = datetime.fromisoformat(event["at"]).astimezone(UTC)
        if at.date() > self._day:
            self._day, self._today = at.date(), LiveSums()
        if at.date() == self._day:
            self._today.add(event)
        minute = at.replace(second=0, microsecond=0)
        if minute < (first := self._first_minute(datetime.now(UTC))):
            return
        for old in [start for start in self._minutes if start < first]:
            del self._minutes[old]
        self._minutes[minute].add(event)
        self._changed.add(minute)

    def _compare(self, compared: ComparedWith, now: datetime) -> None:
        """Replace the savings of the day and of the minutes by those compared."""
        midnight = datetime.combine(self._day, time(), UTC)
        day = compared.sums().by_day(midnight, midnight + timedelta(days=1)).get(midnight)
        self._today.saved = saved(day) or Decimal(0)
        requests = requests_in(self._first_minute(now))
        figures = compared.figures(requests, Value(""), TruncMinute("created_at", tzinfo=UTC))
        for minute, sums in self._minutes.items():
            sums.saved = saved(figures.get((minute, ""))) or Decimal(0)

    def summary(self) -> dict[str, Any]:
        """Return ``today`` and the ``minutes`` that changed since the last call, for JSON."""
        changed = sorted(self._changed & self._minutes.keys())
        self._changed.clear()
        return {
            "today": self._today.as_dict(),
            "minutes": [{"at": at.isoformat(), **self._minutes[at].as_dict()} for at in changed],
        }

    @staticmethod
    def _first_minute(now: datetime) -> datetime:
        return now.replace(second=0, microsecond=0) - timedelta(minutes=_MINUTES - 1)
