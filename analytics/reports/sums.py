"""Where a report finds what requests add up to: against one baseline or another."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from django.db.models.functions import TruncDay

from analytics.reports.figures import FIGURES, Figures, add_figures, no_figures
from analytics.reports.spans import Horizon
from analytics.reports.summing import (
    Grouped,
    Step,
    SumQuery,
    grouped,
    requests_in,
    started,
    sums_together,
)


class ReportSums(Protocol):
    """Where a report finds what requests add up to: against one baseline or another."""

    def by(
        self, dimension: str, since: datetime, until: datetime | None = None
    ) -> dict[str, Figures]:
        """The figures of each value of ``dimension`` in ``[since, until)``."""
        ...

    def by_day(self, since: datetime, until: datetime | None = None) -> dict[datetime, Figures]:
        """The figures of each UTC day, by its start."""
        ...


class RecordedSums:
    """Against the baseline that was recorded with each request: complexity's choice, or the
    model that the client gave as its baseline.
    """

    def by(
        self, dimension: str, since: datetime, until: datetime | None = None
    ) -> dict[str, Figures]:
        return _by_value(self._read(dimension, since, until, None))

    def by_day(self, since: datetime, until: datetime | None = None) -> dict[datetime, Figures]:
        days: dict[datetime, Figures] = defaultdict(no_figures)
        found = self._read("strategy", since, until, TruncDay)
        for (day, _), figures in found.items():
            add_figures(days[day], figures)
        return dict(days)

    def _read(
        self, dimension: str, since: datetime, until: datetime | None, by: Step | None
    ) -> Grouped:
        asked = SumQuery([dimension], since, until)
        return sums_together([asked], Horizon.now(since), by)[0][dimension]


RECORDED = RecordedSums()


class TenantSums(RecordedSums):
    """The same for one tenant's requests alone; read from the rows."""

    def __init__(self, tenant: str) -> None:
        self._tenant = tenant

    def _read(
        self, dimension: str, since: datetime, until: datetime | None, by: Step | None
    ) -> Grouped:
        requests = requests_in(since, until).filter(tenant=self._tenant)
        return grouped(dimension, requests, started(by, "created_at"))


class RememberedSums:
    """Others' sums, each read once: what one report says twice agrees, and costs one reading."""

    def __init__(self, sums: ReportSums) -> None:
        self._sums = sums
        self._read: dict[tuple[Any, ...], Any] = {}

    @classmethod
    def of(cls, asked: Sequence[SumQuery], figures: Collection[str] = FIGURES) -> RememberedSums:
        """The recorded ones, with several dimensions and periods read at once; of ``figures``
        alone, where not all are wanted: summing is what takes the time.
        """
        sums = cls(RECORDED)
        horizon = Horizon.now(min(one.since for one in asked))
        for one, found in zip(asked, sums_together(asked, horizon, None, figures), strict=True):
            for dimension, figures_of in found.items():
                sums._read[dimension, one.since, one.until] = _by_value(figures_of)
        return sums

    def by(
        self, dimension: str, since: datetime, until: datetime | None = None
    ) -> dict[str, Figures]:
        key = (dimension, since, until)
        if key not in self._read:
            self._read[key] = self._sums.by(dimension, since, until)
        found: dict[str, Figures] = self._read[key]
        return found

    def by_day(self, since: datetime, until: datetime | None = None) -> dict[datetime, Figures]:
        key = (since, until)
        if key not in self._read:
            self._read[key] = self._sums.by_day(since, until)
        found: dict[datetime, Figures] = self._read[key]
        return found


def total_of(sums: Mapping[Any, Figures]) -> Figures:
    """All of them together."""
    total = no_figures()
    for figures in sums.values():
        add_figures(total, figures)
    return total


def _by_value(found: Grouped) -> dict[str, Figures]:
    return {value: figures for (_, value), figures in found.items()}
