"""The details of the home page: providers, models, strategies, budgets, users, tags, prompts.

They are loaded when the user opens them. The functions read the database, so do not call them on
the event loop.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from analytics.budgets.report import most_used
from analytics.models import Budget
from analytics.money import percent
from analytics.reports.breakdown import SUMMED, breakdown
from analytics.reports.compared import ComparedWith
from analytics.reports.durations import Spread, counts_by_provider
from analytics.reports.figures import Figures, no_figures, saved_of
from analytics.reports.period_sums import SumQuery
from analytics.reports.sum_sources import CachedSums, ReportSums
from analytics.reports.usage import by_provider, most_expensive_requests
from optimizer.control_room.pages.period import ReportPeriod

_MAX_ROWS = 8
_DIMENSIONS = ("strategy", "model", "latency", "first_token")
_BREAKDOWN_DIMENSIONS = ("user", "tag", "pattern")
_FIGURES = (
    "requests", "decided", "failed", "cost", "lost_cost", "routing_saved", "cache_saved",
)  # fmt: skip
_BREAKDOWN_FIGURES = (*_FIGURES, "paired", "paired_cost", "baseline_cost")


@dataclass(frozen=True, slots=True)
class ProviderFigures:
    """The figures of one provider; ``cost`` and ``saved`` are USD.

    ``latency`` is that of its calls and ``first_token`` that of its streams, both in
    milliseconds and ``None`` if there were none. ``circuit`` is closed, open, half open or not
    configured. ``query`` selects the list of its requests.
    """

    name: str
    requests: int
    cost: Decimal
    saved: Decimal
    latency: Spread | None
    first_token: Spread | None
    failed_percent: float
    circuit: str
    query: str

    @property
    def durations(self) -> tuple[Spread | None, Spread | None]:
        """Latency and time to first token, in milliseconds."""
        return self.latency, self.first_token


def details(
    period: ReportPeriod,
    circuits: Mapping[str, str],
    compared: ComparedWith | None = None,
    *,
    now: datetime | None = None,
) -> dict[str, Any]:
    """Return the tables of a period: providers, models, strategies, budgets.

    ``circuits`` maps each provider to the state of its circuit breaker; ``compared`` is the
    baseline of the savings, by default the recorded one.
    """
    now = now or datetime.now(UTC)
    since, until = period.since, period.until
    sums = CachedSums.of([SumQuery(_DIMENSIONS, since, until)], _FIGURES)
    by_model = sums.by("model", since, until)
    if compared is not None and compared.baseline is not None:
        by_model = compared.sums().by("model", since, until)
    accounts = most_used(Budget.objects.filter(enabled=True), most=_MAX_ROWS, now=now)
    by_strategy = sums.by("strategy", since, until)
    return {
        "period": period,
        "providers": _providers(by_model, sums, circuits, period),
        "models": _shares(by_model, lambda name: _model_query(period, name)),
        "strategies": _shares(by_strategy, lambda name: period.list_query(strategy__exact=name)),
        "budgets": [(account, account.runs_out_at(now)) for account in accounts],
    }


def cost_breakdown(period: ReportPeriod, compared: ComparedWith | None = None) -> dict[str, Any]:
    """Return the cost of a period by user, tag and pattern, and its most expensive prompts.

    Savings are ``compared`` with its baseline, by default the recorded one.

    ``lists`` holds a caption, a heading and the rows, most expensive first, for each dimension;
    ``prompts`` holds the prompts.
    """
    since, until = period.since, period.until
    if compared is None or compared.baseline is None:
        sums: ReportSums = CachedSums.of(
            [SumQuery(_BREAKDOWN_DIMENSIONS, since, until)], _BREAKDOWN_FIGURES
        )
    else:
        sums = compared.sums()
    lists = []
    for caption, heading, dimension, column in (
        ("Users", "User", "user", "user_id"),
        ("Tags", "Tag", "tag", "tag"),
        ("Kinds of prompt", "Kind", "pattern", "pattern__exact"),
    ):
        rows = breakdown(dimension, since, until, most=_MAX_ROWS, source=sums)
        for row in rows:
            row["query"] = (
                "" if row["name"] in SUMMED else period.list_query(**{column: row["name"]})
            )
        lists.append((caption, heading, rows))
    return {"lists": lists, "prompts": most_expensive_requests(since, until)}


def _providers(
    by_model: Mapping[str, Figures],
    sums: ReportSums,
    circuits: Mapping[str, str],
    period: ReportPeriod,
) -> list[ProviderFigures]:
    known = {name: no_figures() for name in circuits} | by_provider(by_model)
    known.pop("", None)  # requests that no provider answered
    latency, first_token = (
        counts_by_provider(sums.by(dimension, period.since, period.until))
        for dimension in ("latency", "first_token")
    )
    rows = [
        ProviderFigures(
            name,
            figures["requests"],
            figures["cost"],
            saved_of(figures),
            Spread.of(latency.get(name, {})),
            Spread.of(first_token.get(name, {})),
            percent(figures["failed"], figures["requests"]),
            circuits.get(name, "not configured"),
            period.list_query(provider=name),
        )
        for name, figures in known.items()
    ]
    return sorted(rows, key=lambda row: (-row.cost, -row.requests, row.name))


def _shares(sums: Mapping[str, Figures], query_of: Callable[[str], str]) -> list[dict[str, Any]]:
    """Return each value's share of the requests, largest first."""
    total = sum(figures["requests"] for figures in sums.values())
    rows = [
        {
            "name": name.strip("/") or "none",
            "query": query_of(name),
            "requests": figures["requests"],
            "percent": percent(figures["requests"], total),
            "cost": figures["cost"],
        }
        for name, figures in sums.items()
    ]
    return sorted(rows, key=lambda row: (-row["requests"], row["name"]))[:_MAX_ROWS]


def _model_query(period: ReportPeriod, model: str) -> str:
    """Return the query of the list of requests that ``model`` ("provider/model") answered."""
    provider, _, name = model.partition("/")
    return period.list_query(provider=provider, model=name) if name else ""
