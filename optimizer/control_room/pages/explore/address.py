"""The address of the page "Explore": it holds all of a question, so a link asks the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from urllib.parse import urlencode

from analytics.reports.exploration.dimensions import DIMENSIONS
from analytics.reports.exploration.question import MEASURES, TIME, SpendQuestion
from optimizer.control_room.pages.period import ReportPeriod

GROUPS = {**{name: one.label for name, one in DIMENSIONS.items()}, TIME: "Time"}
"""What the page groups by, with names for people."""
_NO_GROUP = "all"
_MOST_CHARS = 512
_AS_OF = "%Y-%m-%dT%H:%MZ"


@dataclass(frozen=True, slots=True)
class ExploreAddress:
    """A question as the query string asks it.

    ``as_of`` is the end of a period that is given in days, where that is not now. ``sort`` is the
    measure by which groups are in order, the largest first; "-" before it: the smallest first.
    ``errors`` say which parameters could not be read.
    """

    period: ReportPeriod
    as_of: datetime | None = None
    by: tuple[str, ...] = ("model",)
    filters: Mapping[str, str] = field(default_factory=dict)
    measure: str = "spend"
    sort: str = ""
    errors: tuple[str, ...] = ()

    @classmethod
    def from_query(cls, query: Mapping[str, str]) -> ExploreAddress:
        """Read the parameters of a query string; those that cannot be read have their defaults."""
        errors = []
        period = ReportPeriod.from_query(query)
        if period.error:
            errors.append(period.error)
        as_of = None
        if period.days and query.get("as_of"):
            try:
                as_of = datetime.strptime(query["as_of"], _AS_OF).replace(tzinfo=UTC)
                period = replace(
                    ReportPeriod.last_days(period.days, as_of), until=as_of, query=period.query
                )
            except (ValueError, OverflowError):
                errors.append("as_of: give a time as in 2026-11-29T15:30Z.")
        by = list(
            dict.fromkeys(query[name] for name in ("by", "then") if query.get(name, "") in GROUPS)
        )
        unknown = {query.get("by", ""), query.get("then", "")} - {*GROUPS, _NO_GROUP, ""}
        errors += [f"by: there is no dimension {name!r}." for name in sorted(unknown)]
        filters = {name: query[name][:_MOST_CHARS] for name in DIMENSIONS if query.get(name)}
        if query.get("add") in DIMENSIONS and query.get("value"):
            filters[query["add"]] = query["value"].strip()[:_MOST_CHARS]
        measure, sort = query.get("measure", "spend"), query.get("sort", "")
        if measure not in MEASURES:
            errors.append(f"measure: there is no measure {measure!r}.")
            measure = "spend"
        if sort.removeprefix("-") not in MEASURES:
            sort = ""
        grouped = bool(query.get("by"))
        return cls(
            period, as_of, tuple(by) if grouped or by else ("model",), filters, measure, sort,
            tuple(errors),
        )  # fmt: skip

    def question(self, now: datetime) -> SpendQuestion:
        """Return what is asked, for a period that ends ``now`` if no other end is given."""
        since, before, until = self.period.since, self.period.before, self.period.until or now
        compared_until = None
        if until > now > since:
            # A day that is not over is compared with as much of the day before.
            until, compared_until = now, before + (now - since)
        return SpendQuestion(
            before, since, until, self.filters, self.by, self.measure, compared_until
        )

    def query(self) -> str:
        """Return the query string that asks the same."""
        names = dict(zip(("by", "then"), self.by or (_NO_GROUP,), strict=False))
        parameters = {
            **({"as_of": f"{self.as_of:{_AS_OF}}"} if self.as_of else {}),
            **names,
            **({"measure": self.measure} if self.measure != "spend" else {}),
            **({"sort": self.sort} if self.sort else {}),
            **self.filters,
        }
        return f"{self.period.query}&{urlencode(parameters)}"

    def fixed(self, now: datetime) -> ExploreAddress:
        """Return the address that asks about the same period at any later time."""
        if not self.period.days or self.as_of:
            return self
        return replace(self, as_of=now)

    def over(self, period: ReportPeriod) -> ExploreAddress:
        """Return the address of the same question about another period."""
        return replace(self, period=period, as_of=None)

    def among(self, values: Mapping[str, str]) -> ExploreAddress:
        """Return the address of the question about those of the requests that have ``values``."""
        by = tuple(name for name in self.by if name not in values)
        return replace(self, filters={**self.filters, **values}, by=by)

    def without(self, dimension: str) -> ExploreAddress:
        """Return the address without the filter by ``dimension``."""
        filters = {name: value for name, value in self.filters.items() if name != dimension}
        return replace(self, filters=filters)
