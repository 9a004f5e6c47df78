"""Which stretch of time a page is about, and the one before it to compare with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from urllib.parse import urlencode

PERIODS = (1, 7, 30, 90)
"""Days that can be picked at once."""
_DEFAULT_DAYS = 7
_MOST_DAYS = 366
_AT = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True, slots=True)
class ReportPeriod:
    """``[since, until)``, ``until`` being ``None`` for now; ``before`` is the start of as long a
    time before it. ``days`` is the number picked, ``None`` where dates were given; ``query`` says
    the same in an address, ``trouble`` why what was asked for could not be had.
    """

    since: datetime
    until: datetime | None
    before: datetime
    query: str
    days: int | None = None
    first: str = ""
    last: str = ""
    trouble: str = ""

    def rows(self, **filters: str) -> str:
        """The query of a list of what was recorded in it, and passes ``filters``."""
        bounds = {"created_at__gte": f"{self.since:{_AT}}"}
        if self.until is not None:
            bounds["created_at__lt"] = f"{self.until:{_AT}}"
        return urlencode(bounds | filters)

    @classmethod
    def of_days(cls, days: int, now: datetime | None = None, trouble: str = "") -> ReportPeriod:
        """The last ``days`` times 24 hours."""
        now = now or datetime.now(UTC)
        length = timedelta(days=days)
        query = urlencode({"days": days})
        return cls(now - length, None, now - 2 * length, query, days, trouble=trouble)

    @classmethod
    def between(cls, first: date, last: date) -> ReportPeriod:
        """Whole UTC days, both included."""
        since = datetime(first.year, first.month, first.day, tzinfo=UTC)
        until = datetime(last.year, last.month, last.day, tzinfo=UTC) + timedelta(days=1)
        query = urlencode({"from": first.isoformat(), "to": last.isoformat()})
        shown = first.isoformat(), last.isoformat()
        return cls(since, until, since - (until - since), query, None, *shown)

    @classmethod
    def asked(cls, query: Mapping[str, str]) -> ReportPeriod:
        """By ``from`` and ``to`` (dates) or ``days`` (one of :data:`PERIODS`); seven days where
        neither can be read.
        """
        if query.get("from") or query.get("to"):
            return cls._dates(query.get("from", ""), query.get("to", ""))
        days = query.get("days", "")
        known = days.isdigit() and int(days) in PERIODS
        return cls.of_days(int(days) if known else _DEFAULT_DAYS)

    @classmethod
    def _dates(cls, first: str, last: str) -> ReportPeriod:
        try:
            start, end = date.fromisoformat(first), date.fromisoformat(last)
        except ValueError:
            return cls.of_days(_DEFAULT_DAYS, trouble="Give both dates, as in 2026-11-01.")
        if end < start:
            return cls.of_days(_DEFAULT_DAYS, trouble="The period ends before it begins.")
        if (end - start).days >= _MOST_DAYS or not 2000 <= start.year <= 2200:
            return cls.of_days(_DEFAULT_DAYS, trouble=f"At most {_MOST_DAYS} days at once.")
        return cls.between(start, end)
