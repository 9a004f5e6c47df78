"""What is asked of spending: a period, filters, up to two groups, and a measure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from analytics.money import percent
from analytics.reports.figures import saved_of
from analytics.reports.rollup_coverage import HOUR, Span

TIME = "time"
"""The dimension of time; its values are hours, days, weeks or months, as the period is long."""
MOST_GROUPS = 2


@dataclass(frozen=True, slots=True)
class Measure:
    """A figure to compare and draw; ``of`` computes it from the figures that it ``reads``.

    ``additive`` is whether the figures of parts add up to that of the whole. ``unit`` is "usd",
    "count", "tokens", "ms", "percent" or "score". ``good`` is 1 if more is better, -1 if less is,
    else 0.
    """

    name: str
    label: str
    unit: str
    of: Callable[[Mapping[str, Any]], Any]
    reads: tuple[str, ...]
    additive: bool = True
    good: int = 0


def _plain(figure: str) -> Callable[[Mapping[str, Any]], Any]:
    return lambda figures: figures[figure]


def _mean(total: str, count: str) -> Callable[[Mapping[str, Any]], float | None]:
    def of(figures: Mapping[str, Any]) -> float | None:
        return figures[total] / figures[count] / 1000 if figures[count] else None

    return of


def _saved(figures: Mapping[str, Any]) -> Any:
    return saved_of(dict(figures))


def _failed(figures: Mapping[str, Any]) -> float | None:
    if not figures["requests"]:
        return None
    return percent(figures["failed"], figures["requests"])


def _rating(figures: Mapping[str, Any]) -> float | None:
    ratings = figures.get("ratings")
    return None if ratings is None else ratings.mean


MEASURES = {
    measure.name: measure
    for measure in (
        Measure("spend", "Spent", "usd", _plain("cost"), ("cost",), good=-1),
        Measure("saved", "Saved", "usd", _saved, ("routing_saved", "cache_saved", "lost_cost"),
                good=1),
        Measure("requests", "Requests", "count", _plain("requests"), ("requests",)),
        Measure("tokens_in", "Tokens in", "tokens", _plain("tokens_in"), ("tokens_in",)),
        Measure("tokens_out", "Tokens out", "tokens", _plain("tokens_out"), ("tokens_out",)),
        Measure("latency", "Latency", "ms", _mean("latency_us", "requests"),
                ("latency_us", "requests"), False, -1),
        Measure("errors", "Failed", "percent", _failed, ("failed", "requests"), False, -1),
        Measure("quality", "Rating", "score", _rating, (), False, 1),
    )
}  # fmt: skip
"""All measures; latency is the mean, and quality the mean rating of answers."""


@dataclass(frozen=True, slots=True)
class SpendQuestion:
    """A question about the spending of ``[since, until)``, compared with ``[before, since)``.

    ``compared_until`` ends the earlier period sooner, where this one is not over. ``by`` has at
    most :data:`MOST_GROUPS` dimensions, :data:`TIME` among them or not.
    """

    before: datetime
    since: datetime
    until: datetime
    filters: Mapping[str, str] = field(default_factory=dict)
    by: tuple[str, ...] = ()
    measure: str = "spend"
    compared_until: datetime | None = None

    @property
    def previous(self) -> Span:
        """The period that it is compared with."""
        return self.before, self.compared_until or self.since

    @property
    def dimensions(self) -> tuple[str, ...]:
        """The dimensions that it groups by, without time."""
        return tuple(name for name in self.by if name != TIME)

    def within(self, edge: datetime) -> SpendQuestion:
        """Return the question about as much of the end of the period as lies after ``edge``.

        It and the period before it begin at ``edge`` or after it; longer ones are whole hours.
        """
        if edge <= self.before:
            return self
        length = (self.until - edge) / 2
        if length > HOUR:
            length -= length % HOUR
        since = self.until - length
        return replace(self, before=since - length, since=since, compared_until=None)
