"""The figures of the admin's home page: one period compared with the previous one.

The sums are the same as those of ``routing_report``. The functions read the database, so do not
call them on the event loop.
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
from analytics.reports.compared import ComparedWith
from analytics.reports.durations import Spread, counts_by_provider
from analytics.reports.figures import Figures, no_figures, saved_of
from analytics.reports.intervals import GROUPED_BY
from analytics.reports.sum_queries import SumQuery
from analytics.reports.sum_sources import CachedSums, ReportSums, total_of
from analytics.reports.usage import by_provider, most_expensive_requests
from optimizer.control_room.pages.period import ReportPeriod

_MAX_ROWS = 8
_DIMENSIONS = ("strategy", "model", *GROUPED_BY.values(), "latency", "first_token")
_BREAKDOWN_DIMENSIONS = ("user", "tag", "pattern")
_FIGURES = (
    "requests", "decided", "failed", "cache_hits", "paired", "tokens_in", "tokens_out",
    "latency_us", "cost", "lost_cost", "paired_cost", "baseline_cost", "routing_saved",
    "cache_saved", "prompt_cache_saved", "explored_saved",
)  # fmt: skip
_VERDICTS = {
    "holds": "Quality holds",
    "falls short": "Quality falls short",
    "not shown": "Quality inconclusive",
}


@dataclass(frozen=True, slots=True)
class Card:
    """A figure as text, a note that compares it, and the query of the list behind it."""

    label: str
    value: str
    note: str = ""
    page: str = "analytics_requestrecord_changelist"
    query: str = ""
    alarming: bool = False


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


def overview(
    period: ReportPeriod,
    circuits: Mapping[str, str],
    compared: ComparedWith | None = None,
    *,
    now: datetime | None = None,
) -> dict[str, Any]:
    """Return what the home page shows of a period.

    ``circuits`` maps each provider to the state of its circuit breaker; ``compared`` is the
    baseline of the savings, by default the recorded one.
    """
    now = now or datetime.now(UTC)
    since, until = period.since, period.until
    queries = [SumQuery(_DIMENSIONS, since, until), SumQuery(["strategy"], period.before, since)]
    sums = CachedSums.of(queries, _FIGURES)
    by_strategy, by_model = sums.by("strategy", since, until), sums.by("model", since, until)
    totals = total_of(by_strategy)
    previous = total_of(sums.by("strategy", period.before, since))
    picked = sums
    if compared is not None and compared.baseline is not None:
        picked = CachedSums(compared.sums())
        by_model = picked.by("model", since, until)
    savings = cost_savings(since, until, picked)
    quality = quality_report(settings.QUALITY_TOLERANCE, since, until)
    accounts = most_used(Budget.objects.filter(enabled=True), most=_MAX_ROWS, now=now)
    return {
        "period": period,
        "compared": compared,
        "renews": period.until is None,
        "empty": totals["requests"] == 0,
        "cards": _cards(totals, previous, savings, quality, period, compared),
        "problems": list(_problems(totals, circuits, quality, accounts)),
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
        sums: ReportSums = CachedSums.of([SumQuery(_BREAKDOWN_DIMENSIONS, since, until)], _FIGURES)
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


def _cards(
    totals: Figures, previous: Figures, savings: dict[str, Any], quality: dict[str, Any],
    period: ReportPeriod, compared: ComparedWith | None,
) -> list[Card]:  # fmt: skip
    query = period.list_query()
    answered = totals["requests"] - totals["failed"]
    answered_before = previous["requests"] - previous["failed"]
    baseline = f"the baseline, {compared.label}" if compared else "the baseline"
    saved = f"{savings['percent_saved']:.1f} % of {baseline}"
    if savings["saved_low"] is not None:
        between = f"{dollars(savings['saved_low'])} to {dollars(savings['saved_high'])}"
        saved += f"; expected {between} with 95 % confidence"
    difference = quality["difference"]
    known = difference["mean"] is not None
    quality_text = f"{difference['mean']:+.3f}" if known else "–"
    basis = (
        f"compared with the baseline, tolerance {quality['tolerance']:g}; "
        f"based on {quality['basis']}"
        if known
        else "rate answers or configure a judge"
    )
    hits, hits_before = totals["cache_hits"], previous["cache_hits"]
    failed = percent(totals["failed"], totals["requests"])
    return [
        Card(
            "Spent", dollars(totals["cost"]),
            _change(totals["cost"], previous["cost"]), query=query,
        ),
        Card(
            "Saved", dollars(savings["total_saved"]), saved,
            "analytics_routingmetric_changelist", query, savings["total_saved"] < 0,
        ),
        Card(
            "Requests", f"{totals['requests']:,}",
            _change(totals["requests"], previous["requests"]), query=query,
        ),
        Card(
            "From the cache", f"{percent(hits, answered):.1f} %",
            f"{percent(hits_before, answered_before):.1f} % before",
            query=period.list_query(cache_hit__exact="1"),
        ),
        Card(
            "Failed", f"{failed:.1f} %",
            f"{percent(previous['failed'], previous['requests']):.1f} % before",
            query=period.list_query(status__exact="error"), alarming=failed > 5,
        ),
        Card(
            "Mean latency", f"{_latency(totals):,.0f} ms", f"{_latency(previous):,.0f} ms before",
            query=query,
        ),
        Card(
            _VERDICTS[quality["verdict"]], quality_text, basis,
            "analytics_comparison_changelist", alarming=quality["verdict"] == "falls short",
        ),
    ]  # fmt: skip


def _change(now: Decimal | int, before: Decimal | int) -> str:
    if not before:
        return "no data for the previous period"
    return f"{100 * Decimal(now - before) / before:+.0f} % on the previous period"


def _latency(figures: Figures) -> float:
    return figures["latency_us"] / 1000 / (figures["requests"] or 1)


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


def _problems(
    totals: Figures,
    circuits: Mapping[str, str],
    quality: dict[str, Any],
    accounts: list[AccountStanding],
) -> Any:
    """Yield each problem that needs attention, with the name of the page that shows it."""
    for name, state in sorted(circuits.items()):
        if state != "closed":
            yield f"{name} failed too often: its circuit is {state.replace('_', ' ')}.", ""
    unpriced = totals["decided"] - totals["paired"]
    if unpriced:
        problem = f"{unpriced} requests have no known price, or their baseline has none"
        yield f"{problem}; no savings are counted for them.", "analytics_routingmetric_changelist"
    if quality["verdict"] == "falls short":
        yield (
            "Answers are significantly worse than the baseline's.",
            "analytics_comparison_changelist",
        )
    for standing in accounts:
        if standing.left is not None and standing.used_percent >= 100:
            owner = f" of {standing.subject}" if standing.budget.each else ""
            yield f"The budget {standing.budget}{owner} is used up.", "analytics_budget_changelist"
    lost_holds, undelivered = _lost_holds_and_undelivered_alerts()
    if lost_holds:
        yield (
            f"{lost_holds} holds belong to workers that stopped; budgets still count them.",
            "analytics_budgethold_changelist",
        )
    if undelivered:
        yield f"{undelivered} alerts could not be delivered.", "analytics_alert_changelist"


def _lost_holds_and_undelivered_alerts() -> tuple[int, int]:
    """Count the holds of workers that stopped, and the alerts that could not be delivered."""
    counted = {"n": Count("pk")}
    holds = BudgetHold.objects.filter(lost_at__isnull=False).annotate(kind=Value("holds"))
    alerts = (
        Alert.objects.filter(delivered_at=None).exclude(error="").annotate(kind=Value("alerts"))
    )
    parts = [rows.order_by().values("kind").annotate(**counted) for rows in (holds, alerts)]
    both: Any = parts[0].union(parts[1], all=True)
    counts = {row["kind"]: row["n"] for row in both}
    return counts.get("holds", 0), counts.get("alerts", 0)
