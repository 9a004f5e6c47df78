"""The period that a page reports on: days with those before them for comparison, or a month."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django import forms

from analytics.reports.statement import month_of

PERIODS = (1, 7, 30, 90)
"""Lengths, in days, that the page offers as links."""
DEAREST_FIRST = "2"
"""How the list of requests names its order by cost: that of its second column."""
_DEFAULT_DAYS = 7
_MAX_DAYS = 366
_TIME_FORMAT = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True, slots=True)
class ReportPeriod:
    """The period ``[since, until)``; ``until`` is ``None`` for a period that ends now.

    ``before`` is the start of the previous period, which has the same length. ``days`` is the
    chosen number of days, or ``None`` if the user gave dates; ``first`` and ``last`` are those
    dates. ``query`` is the query string that selects this period. ``error`` says why the
    requested period could not be used.
    """

    since: datetime
    until: datetime | None
    before: datetime
    query: str
    days: int | None = None
    first: str = ""
    last: str = ""
    error: str = ""

    def list_query(self, **filters: str) -> str:
        """Return the query string of a list of the period's rows that match ``filters``."""
        bounds = {"created_at__gte": f"{self.since:{_TIME_FORMAT}}"}
        if self.until is not None:
            bounds["created_at__lt"] = f"{self.until:{_TIME_FORMAT}}"
        return urlencode(bounds | filters)

    def whole_days(self) -> ReportPeriod:
        """Return the period from the start of its first day (UTC), as totals of days count it."""
        since = self.since.replace(hour=0, minute=0, second=0, microsecond=0)
        return replace(self, since=since)

    @classmethod
    def last_days(cls, days: int, now: datetime | None = None, error: str = "") -> ReportPeriod:
        """Return the period of the last ``days`` times 24 hours."""
        now = now or datetime.now(UTC)
        length = timedelta(days=days)
        query = urlencode({"days": days})
        return cls(now - length, None, now - 2 * length, query, days, error=error)

    @classmethod
    def between(cls, first: date, last: date) -> ReportPeriod:
        """Return the period of whole UTC days from ``first`` to ``last``, both included."""
        since = datetime(first.year, first.month, first.day, tzinfo=UTC)
        until = datetime(last.year, last.month, last.day, tzinfo=UTC) + timedelta(days=1)
        query = urlencode({"from": first.isoformat(), "to": last.isoformat()})
        shown = first.isoformat(), last.isoformat()
        return cls(since, until, since - (until - since), query, None, *shown)

    @classmethod
    def from_query(cls, query: Mapping[str, str]) -> ReportPeriod:
        """Read the period from a query string.

        The query names ``from`` and ``to`` (dates) or ``days`` (one of :data:`PERIODS`). The
        period is the last seven days if neither can be read.
        """
        if query.get("from") or query.get("to"):
            return cls._from_dates(query.get("from", ""), query.get("to", ""))
        days = query.get("days", "")
        offered = days.isdigit() and int(days) in PERIODS
        return cls.last_days(int(days) if offered else _DEFAULT_DAYS)

    @classmethod
    def _from_dates(cls, first: str, last: str) -> ReportPeriod:
        try:
            start, end = date.fromisoformat(first), date.fromisoformat(last)
        except ValueError:
            return cls.last_days(_DEFAULT_DAYS, error="Give both dates, as in 2026-11-01.")
        if end < start:
            return cls.last_days(_DEFAULT_DAYS, error="The period ends before it begins.")
        if (end - start).days >= _MAX_DAYS or not 2000 <= start.year <= 2200:
            return cls.last_days(_DEFAULT_DAYS, error=f"At most {_MAX_DAYS} days at once.")
        return cls.between(start, end)


class MonthField(forms.RegexField):
    """A month like "2026-10", as text."""

    def __init__(self, **options: Any) -> None:
        super().__init__(
            r"^\d{4}-\d{2}$",
            widget=forms.TextInput(attrs={"type": "month"}),
            error_messages={"invalid": "Write a month like 2026-10."},
            **options,
        )

    def clean(self, value: Any) -> str:
        """Return the text of a month that exists. Raises ``ValidationError``."""
        text: str = super().clean(value)
        try:
            month_of(text)
        except ValueError:
            raise forms.ValidationError(self.error_messages["invalid"], "invalid") from None
        return text
