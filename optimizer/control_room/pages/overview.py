"""The figures of the admin's home: one period beside the one before it.

The same sums as ``routing_report``. Reads the database: not for the event loop.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db.models import Count, Value

from analytics.budgets.report import AccountStanding, most_used
from analytics.ledger.savings import cost_savings
from analytics.models import Alert, Budget, BudgetHold
from analytics.money import dollars, percent
from analytics.quality.report import quality_report
from analytics.reports.breakdown import SUMMED, breakdown
from analytics.reports.durations import Spread, counts_by_provider
from analytics.reports.figures import Figures, no_figures, saved_of
from analytics.reports.summing import SumQuery
from analytics.reports.sums import RememberedSums, ReportSums, total_of
from analytics.reports.usage import by_provider, dearest_requests
from optimizer.control_room.pages.period import ReportPeriod

_MOST = 8
_DIMENSIONS = ("strategy", "model", "group", "latency", "first_token")
_WHOSE = ("user", "tag", "pattern")
_FIGURES = (
    "requests", "decided", "failed", "cache_hits", "paired", "tokens_in", "tokens_out",
    "latency_us", "cost", "lost_cost", "paired_cost", "baseline_cost", "routing_saved",
    "cache_saved", "prompt_cache_saved", "explored_saved",
)  # fmt: skip
_VERDICTS = {
    "holds": "Quality holds",
    "falls short": "Quality falls short",
    "not shown": "Quality not shown",
}


@dataclass(frozen=True, slots=True)
class Card:
    """A figure in words, what it was before, and the query of the list behind it."""

    label: str
    value: str
    note: str = ""
    page: str = "analytics_requestrecord_changelist"
    query: str = ""
    alarming: bool = False


@dataclass(frozen=True, slots=True)
class ProviderFigures:
    """``latency`` and ``first_token`` are those of its calls and streams, if there were any, in
    ms; ``circuit`` closed, open or half open; ``query`` that of the list
    of its requests.
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
        return self.latency, self.first_token


def overview(
    period: ReportPeriod, circuits: Mapping[str, str], *, now: datetime | None = None
) -> dict[str, Any]:
    """What the page shows of a period; ``circuits`` are those of the providers."""
    now = now or datetime.now(UTC)
    since, until = period.since, period.until
    asked = [SumQuery(_DIMENSIONS, since, until), SumQuery(["strategy"], period.before, since)]
    sums = RememberedSums.of(asked, _FIGURES)
    by_strategy, by_model = sums.by("strategy", since, until), sums.by("model", since, until)
    totals = total_of(by_strategy)
    earlier = total_of(sums.by("strategy", period.before, since))
    savings = cost_savings(since, until, sums)
    quality = quality_report(settings.QUALITY_TOLERANCE, since, until)
    accounts = most_used(Budget.objects.filter(enabled=True), most=_MOST, now=now)
    return {
        "period": period,
        "renews": period.until is None,
        "empty": totals["requests"] == 0,
        "cards": _cards(totals, earlier, savings, quality, period),
        "troubles": list(_troubles(totals, circuits, quality, accounts)),
        "providers": _providers(by_model, sums, circuits, period),
        "models": _shares(by_model, lambda name: _rows_of(period, name)),
        "strategies": _shares(by_strategy, lambda name: period.rows(strategy__exact=name)),
        "budgets": [(account, account.runs_out_at(now)) for account in accounts],
    }


def whose(period: ReportPeriod) -> dict[str, Any]:
    """Who and what the money of a period went to, dearest first: ``lists`` of caption, heading
    and rows, and the ``dearest`` prompts.
    """
    since, until = period.since, period.until
    sums = RememberedSums.of([SumQuery(_WHOSE, since, until)], _FIGURES)
    lists = []
    for caption, heading, dimension, column in (
        ("Users", "User", "user", "user_id"),
        ("Tags", "Tag", "tag", "tag"),
        ("Kinds of prompt", "Kind", "pattern", "pattern__exact"),
    ):
        rows = breakdown(dimension, since, until, most=_MOST, source=sums)
        for row in rows:
            row["query"] = "" if row["name"] in SUMMED else period.rows(**{column: row["name"]})
        lists.append((caption, heading, rows))
    return {"lists": lists, "dearest": dearest_requests(since, until)}


def _cards(
    totals: Figures, earlier: Figures, savings: dict[str, Any], quality: dict[str, Any],
    period: ReportPeriod,
) -> list[Card]:  # fmt: skip
    query = period.rows()
    answered = totals["requests"] - totals["failed"]
    answered_before = earlier["requests"] - earlier["failed"]
    saved = f"{savings['percent_saved']:.1f} % of the baseline"
    if savings["saved_low"] is not None:
        between = f"{dollars(savings['saved_low'])} to {dollars(savings['saved_high'])}"
        saved += f"; with 95 % confidence {between}"
    difference = quality["difference"]
    known = difference["mean"] is not None
    shown = f"{difference['mean']:+.3f}" if known else "–"
    basis = (
        f"beside the baseline, tolerance {quality['tolerance']:g}; on {quality['basis']}"
        if known
        else "rate answers, or name a judge"
    )
    hits, hits_before = totals["cache_hits"], earlier["cache_hits"]
    failed = percent(totals["failed"], totals["requests"])
    return [
        Card(
            "Spent", dollars(totals["cost"]),
            _change(totals["cost"], earlier["cost"]), query=query,
        ),
        Card(
            "Saved", dollars(savings["total_saved"]), saved,
            "analytics_routingmetric_changelist", query, savings["total_saved"] < 0,
        ),
        Card(
            "Requests", f"{totals['requests']:,}",
            _change(totals["requests"], earlier["requests"]), query=query,
        ),
        Card(
            "From the cache", f"{percent(hits, answered):.1f} %",
            f"{percent(hits_before, answered_before):.1f} % before",
            query=period.rows(cache_hit__exact="1"),
        ),
        Card(
            "Failed", f"{failed:.1f} %",
            f"{percent(earlier['failed'], earlier['requests']):.1f} % before",
            query=period.rows(status__exact="error"), alarming=failed > 5,
        ),
        Card(
            "Mean latency", f"{_latency(totals):,.0f} ms", f"{_latency(earlier):,.0f} ms before",
            query=query,
        ),
        Card(
            _VERDICTS[quality["verdict"]], shown, basis,
            "analytics_comparison_changelist", alarming=quality["verdict"] == "falls short",
        ),
    ]  # fmt: skip


def _change(now: Decimal | int, before: Decimal | int) -> str:
    if not before:
        return "nothing before"
    return f"{100 * Decimal(now - before) / before:+.0f} % on the period before"


def _latency(figures: Figures) -> float:
    return figures["latency_us"] / 1000 / (figures["requests"] or 1)


def _providers(
    by_model: Mapping[str, Figures],
    sums: ReportSums,
    circuits: Mapping[str, str],
    period: ReportPeriod,
) -> list[ProviderFigures]:
    known = {name: no_figures() for name in circuits} | by_provider(by_model)
    known.pop("", None)  # of requests that nobody answered
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
            period.rows(provider=name),
        )
        for name, figures in known.items()
    ]
    return sorted(rows, key=lambda row: (-row.cost, -row.requests, row.name))


def _shares(sums: Mapping[str, Figures], rows_of: Callable[[str], str]) -> list[dict[str, Any]]:
    """Each value's share of the requests, greatest first."""
    total = sum(figures["requests"] for figures in sums.values())
    rows = [
        {
            "name": name.strip("/") or "nobody",
            "query": rows_of(name),
            "requests": figures["requests"],
            "percent": percent(figures["requests"], total),
            "cost": figures["cost"],
        }
        for name, figures in sums.items()
    ]
    return sorted(rows, key=lambda row: (-row["requests"], row["name"]))[:_MOST]


def _rows_of(period: ReportPeriod, model: str) -> str:
    """The query of the list of a "provider/model"'s requests."""
    provider, _, name = model.partition("/")
    return period.rows(provider=provider, model=name) if name else ""


def _troubles(
    totals: Figures,
    circuits: Mapping[str, str],
    quality: dict[str, Any],
    accounts: list[AccountStanding],
) -> Any:
    """What somebody should look at, with the page to look at."""
    for name, state in sorted(circuits.items()):
        if state != "closed":
            yield f"{name} failed too often: its circuit is {state.replace('_', ' ')}.", ""
    unpriced = totals["decided"] - totals["paired"]
    if unpriced:
        without = f"{unpriced} requests have no known price, or none of their baseline"
        yield f"{without}; no saving is counted for them.", "analytics_routingmetric_changelist"
    if quality["verdict"] == "falls short":
        yield "Answers are surely worse than the baseline's.", "analytics_comparison_changelist"
    for standing in accounts:
        if standing.left is not None and standing.used_percent >= 100:
            whose = f" of {standing.subject}" if standing.budget.each else ""
            yield f"The budget {standing.budget}{whose} is used up.", "analytics_budget_changelist"
    lost, waiting = _left_over()
    if lost:
        yield (
            f"{lost} holds were lost with a worker and stay counted.",
            "analytics_budgethold_changelist",
        )
    if waiting:
        yield f"{waiting} alerts could not be delivered.", "analytics_alert_changelist"


def _left_over() -> tuple[int, int]:
    """How many holds dead workers left, and how many alerts reached nobody."""
    counted = {"n": Count("pk")}
    holds = BudgetHold.objects.filter(lost_at__isnull=False).annotate(what=Value("holds"))
    alerts = (
        Alert.objects.filter(delivered_at=None).exclude(error="").annotate(what=Value("alerts"))
    )
    parts = [rows.order_by().values("what").annotate(**counted) for rows in (holds, alerts)]
    both: Any = parts[0].union(parts[1], all=True)
    found = {row["what"]: row["n"] for row in both}
    return found.get("holds", 0), found.get("alerts", 0)
