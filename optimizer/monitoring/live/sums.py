"""What the requests of the day and of the last minutes add up to, counted on as they come."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from analytics.ledger.daily_totals import minute_sums, sums_since
from optimizer.monitoring.live.request_event import Happening

_MINUTES = 30


@dataclass(slots=True)
class LiveSums:
    """Requests, those of them that failed, and USD spent and saved."""

    requests: int = 0
    failed: int = 0
    spent: Decimal = Decimal(0)
    saved: Decimal = Decimal(0)

    def add(self, event: Happening) -> None:
        self.requests += 1
        self.failed += event["status"] == "error"
        self.spent += Decimal(event["cost"] or 0)
        self.saved += Decimal(event["saved"] or 0)

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON: USD as decimal text."""
        return {
            "requests": self.requests,
            "failed": self.failed,
            "spent": f"{self.spent:f}",
            "saved": f"{self.saved:f}",
        }


class RunningSums:
    """Of the UTC day, and of each of the last thirty minutes in which something came."""

    def __init__(self) -> None:
        self._day = datetime.now(UTC).date()
        self._today = LiveSums()
        self._minutes: dict[datetime, LiveSums] = defaultdict(LiveSums)
        self._untold: set[datetime] = set()

    def read(self) -> None:
        """Begin with what has been recorded. Reads the database."""
        now = datetime.now(UTC)
        self._day = now.date()
        found = sums_since(self._day)
        self._today = LiveSums(found["total_requests"], 0, found["spent"], found["saved"])
        for minute, counted in minute_sums(self._first(now)).items():
            self._minutes[minute] = LiveSums(**counted)
        self._untold = set(self._minutes)

    def add(self, event: Happening) -> None:
        at = datetime.fromisoformat(event["at"]).astimezone(UTC)
        if at.date() > self._day:
            self._day, self._today = at.date(), LiveSums()
        if at.date() == self._day:
            self._today.add(event)
        minute = at.replace(second=0, microsecond=0)
        if minute < (first := self._first(datetime.now(UTC))):
            return
        for old in [known for known in self._minutes if known < first]:
            del self._minutes[old]
        self._minutes[minute].add(event)
        self._untold.add(minute)

    def summary(self) -> dict[str, Any]:
        """Ready for JSON: ``today``, and those ``minutes`` that moved since the last telling."""
        moved = sorted(self._untold & self._minutes.keys())
        self._untold.clear()
        return {
            "today": self._today.as_dict(),
            "minutes": [{"at": at.isoformat(), **self._minutes[at].as_dict()} for at in moved],
        }

    @staticmethod
    def _first(now: datetime) -> datetime:
        return now.replace(second=0, microsecond=0) - timedelta(minutes=_MINUTES - 1)
