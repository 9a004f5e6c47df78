"""Sources of a report's sums, each compared with one baseline."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from django.db.models.functions import TruncDay

from analytics.reports.figures import DIRECT, FIGURES, Figures, add_figures, no_figures
from analytics.reports.period_sums import SumQuery, sums_together
from analytics.reports.rollup_coverage import RollupCoverage
from analytics.reports.sum_queries import Grouped, Step, grouped, requests_in, truncated


class ReportSums(Protocol):
    """A source of a report's sums, compared with one baseline."""

    def by(
        self, dimension: str, since: datetime, until: datetime | None = None
    ) -> dict[str, Figures]:
        """Return the figures of each value of ``dimension`` in ``[since, until)``."""
        ...

    def by_day(self, since: datetime, until: datetime | None = None) -> dict[datetime, Figures]:
        """Return the figures of each UTC day, by its start."""
        ...


class RecordedSums:
    """Sums compared with the baseline that was recorded with each request.

    ``horizon`` says how far the totals reach; by default it is read for each sum.
    """

    def __init__(self, horizon: RollupCoverage | None = None) -> None:
        self._horizon = horizon

    def by(
        self, dimension: str, since: datetime, until: datetime | None = None
    ) -> dict[str, Figures]:
        """Return the figures of each value of ``dimension`` in ``[since, until)``."""
        return _by_value(self._read(dimension, since, until, None))

    def by_day(self, since: datetime, until: datetime | None = None) -> dict[datetime, Figures]:
        """Return the figures of each UTC day, by its start."""
        return _by_time(self._read("strategy", since, until, TruncDay))

    def _read(
        self, dimension: str, since: datetime, until: datetime | None, by: Step | None
    ) -> Grouped:
        if dimension in DIRECT:
            return grouped(dimension, requests_in(since, until), truncated(by, "created_at"))
        query = SumQuery([dimension], since, until)
        return sums_together([query], self._horizon or RollupCoverage.now(since), by)[0][dimension]


RECORDED = RecordedSums()


class TenantSums(RecordedSums):
    """Recorded sums of one tenant's requests; they are read from the requests."""

    def __init__(self, tenant: str) -> None:
        super().__init__()
        self._tenant = tenant

    def _read(
        self, dimension: str, since: datetime, until: datetime | None, by: Step | None
    ) -> Grouped:
        requests = requests_in(since, until).filter(tenant=self._tenant)
        return grouped(dimension, requests, truncated(by, "created_at"))


class CachedSums:
    """Another source's sums, each read once.

    Figures that a report shows twice agree, and cost one query.
    """

    def __init__(self, sums: ReportSums) -> None:
        self._sums = sums
        self._read: dict[tuple[Any, ...], Any] = {}

    @classmethod
    def of(cls, queries: Sequence[SumQuery], figures: Collection[str] = FIGURES) -> CachedSums:
        """Read the recorded sums of several dimensions and periods at once.

        ``figures`` names the figures to sum, as summing takes most of the time. A query by days
        has the sums of its period and those of its days.
        """
        horizon = RollupCoverage.now(min(query.since for query in queries))
        sums = cls(RecordedSums(horizon))
        results = sums_together(queries, horizon, None, figures)
        for query, by_dimension in zip(queries, results, strict=True):
            for dimension, grouped_figures in by_dimension.items():
                sums._read[dimension, query.since, query.until] = _by_value(grouped_figures)
            if query.by is TruncDay:
                first = by_dimension[query.dimensions[0]]
                sums._read[query.since, query.until] = _by_time(first)
        return sums

    def by(
        self, dimension: str, since: datetime, until: datetime | None = None
    ) -> dict[str, Figures]:
        """Return the figures of each value of ``dimension`` in ``[since, until)``."""
        key = (dimension, since, until)
        if key not in self._read:
            self._read[key] = self._sums.by(dimension, since, until)
        figures: dict[str, Figures] = self._read[key]
        return figures

    def by_day(self, since: datetime, until: datetime | None = None) -> dict[datetime, Figures]:
        """Return the figures of each UTC day, by its start."""
        key = (since, until)
        if key not in self._read:
            self._read[key] = self._sums.by_day(since, until)
        figures: dict[datetime, Figures] = self._read[key]
        return figures


def total_of(sums: Mapping[Any, Figures]) -> Figures:
    """Return the sum of all figures in ``sums``."""
    total = no_figures()
    for figures in sums.values():
        add_figures(total, figures)
    return total


def _by_value(sums: Grouped) -> dict[str, Figures]:
    """Return the figures of each value at all times."""
    return _added((value, figures) for (_, value), figures in sums.items())


def _by_time(sums: Grouped) -> dict[datetime, Figures]:
    """Return the figures of all values at each time."""
    return _added((at, figures) for (at, _), figures in sums.items())


def _added(sums: Iterable[tuple[Any, Figures]]) -> dict[Any, Figures]:
    added: dict[Any, Figures] = {}
    for key, figures in sums:
        if (there := added.get(key)) is None:
            added[key] = dict(figures)
        else:
            add_figures(there, figures)
    return added
