"""The figures of the admin's home page: one period compared with the previous one.

The sums are the same as those of ``routing_report``. The functions read the database, so do not
call them on the event loop.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db.models.functions import TruncDay

from analytics.budgets.report import most_used
from analytics.ledger.savings import cost_savings
from analytics.models import Budget, RequestRecord
from analytics.money import percent
from analytics.money_shown import rounded_dollars
from analytics.quality.pairs import comparisons_in, pairs_with_cost
from analytics.quality.report import quality_report
from analytics.reports.compared import ComparedWith
from analytics.reports.daily_spending import DailySpending
from analytics.reports.figures import Figures
from analytics.reports.intervals import GROUPED_BY, PAIR_FIGURES
from analytics.reports.period_sums import SumQuery
from analytics.reports.sum_sources import CachedSums, total_of
from optimizer.control_room.pages.home.attention import problems
from optimizer.control_room.pages.home.headline import headline, sparkline
from optimizer.control_room.pages.period import DEAREST_FIRST, ReportPeriod

_MOST_BUDGETS = 8
_FIGURES = (
    "requests", "decided", "failed", "cache_hits", "paired", "latency_us", "cost", "lost_cost",
    "paired_cost", "baseline_cost", "routing_saved", "cache_saved", "prompt_cache_saved",
    "explored_saved",
)  # fmt: skip
_BEFORE = timedelta(days=35)
"""Days before the period whose costs show what a usual day costs, and the month's forecast."""
_FEWEST_DRAWN = timedelta(days=14)
_MANY_FAILED = 5


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
class QuickLink:
    """A link from the home page to the answer of a frequent question.

    ``needs`` is a permission for it, beside that for the home page.
    """

    text: str
    page: str
    query: str = ""
    needs: str = ""


def overview(
    period: ReportPeriod,
    circuits: Mapping[str, str],
    compared: ComparedWith | None = None,
    *,
    now: datetime | None = None,
) -> dict[str, Any]:
    """Return what the home page shows of a period before its details.

    ``circuits`` maps each provider to the state of its circuit breaker; ``compared`` is the
    baseline of the savings, by default the recorded one.
    """
    now = now or datetime.now(UTC)
    since, until = period.since, period.until
    queries = [
        SumQuery(["strategy"], since, until, TruncDay),
        SumQuery(list(GROUPED_BY.values()), since, until, figures=PAIR_FIGURES),
        SumQuery(["strategy"], period.before, since),
    ]
    sums = CachedSums.of(queries, _FIGURES)
    totals = total_of(sums.by("strategy", since, until))
    page = {
        "period": period,
        "compared": compared,
        "renews": period.until is None,
        "empty": totals["requests"] == 0,
    }
    previous = total_of(sums.by("strategy", period.before, since))
    picked = sums
    if compared is not None and compared.baseline is not None:
        picked = CachedSums(compared.sums())
    pairs, judging = pairs_with_cost(comparisons_in(since, until))
    savings = cost_savings(since, until, picked, judging=judging)
    quality = quality_report(settings.QUALITY_TOLERANCE, since, until, pairs)
    accounts = most_used(Budget.objects.filter(enabled=True), most=_MOST_BUDGETS, now=now)
    spending = DailySpending.since(min(since, now).date() - _BEFORE)
    last = (until - timedelta(microseconds=1) if until else now).date()
    first = min(since.date(), last - _FEWEST_DRAWN)
    return {
        **page,
        "headline": headline(
            totals["cost"],
            savings,
            quality,
            spending.forecast(now) if until is None else None,
            _baseline_text(compared),
        ),
        "sparkline": sparkline(spending.days(first, last)),
        "cards": _cards(totals, previous, period),
        "ways": _ways(period, spending, now),
        "problems": list(problems(period, totals, circuits, quality, accounts, spending, now)),
    }


def _ways(period: ReportPeriod, spending: DailySpending, now: datetime) -> list[QuickLink]:
    yesterday = now.astimezone(UTC).date() - timedelta(days=1)
    (_, earlier), (_, cost) = spending.days(yesterday - timedelta(days=1), yesterday)
    change = f", {_change(cost, earlier, 'the day before')}" if earlier else ""
    day = ReportPeriod.between(yesterday, yesterday)
    return [
        QuickLink(
            "The dearest prompts", "analytics_requestrecord_changelist",
            period.list_query(o=DEAREST_FIRST),
        ),
        QuickLink(
            f"Yesterday: {rounded_dollars(cost)}{change}. Why?", "explore", f"{day.query}#why"
        ),
        QuickLink("Explore this period", "explore", period.query),
        QuickLink(
            "What if everything ran on one model?", "whatif", needs="analytics.view_routingmetric"
        ),
    ]  # fmt: skip


def latest_request() -> datetime | None:
    """Return when the latest request arrived, ``None`` if there has been none."""
    latest = RequestRecord.objects.admitted().order_by("-created_at")
    return latest.values_list("created_at", flat=True).first()


def _baseline_text(compared: ComparedWith | None) -> str:
    if compared is None or compared.baseline is None:
        return "the recorded baseline"
    return f"the baseline, {compared.label}"


def _cards(totals: Figures, previous: Figures, period: ReportPeriod) -> list[Card]:
    query = period.list_query()
    answered = totals["requests"] - totals["failed"]
    answered_before = previous["requests"] - previous["failed"]
    hits, hits_before = totals["cache_hits"], previous["cache_hits"]
    failed = percent(totals["failed"], totals["requests"])
    known = previous["requests"] > 0
    return [
        Card(
            "Spent", rounded_dollars(totals["cost"]), _change(totals["cost"], previous["cost"]),
            query=query,
        ),
        Card(
            "Requests", f"{totals['requests']:,}",
            _change(totals["requests"], previous["requests"]), query=query,
        ),
        Card(
            "From the cache", f"{percent(hits, answered):.1f} %",
            f"{percent(hits_before, answered_before):.1f} % before" if known else "",
            query=period.list_query(cache_hit__exact="1"),
        ),
        Card(
            "Failed", f"{failed:.1f} %",
            f"{percent(previous['failed'], previous['requests']):.1f} % before" if known else "",
            query=period.list_query(status__exact="error"), alarming=failed > _MANY_FAILED,
        ),
        Card(
            "Mean latency", f"{_latency(totals):,.0f} ms",
            f"{_latency(previous):,.0f} ms before" if known else "", query=query,
        ),
    ]  # fmt: skip


def _change(now: Decimal | int, before: Decimal | int, than: str = "the previous period") -> str:
    if not before:
        return ""
    return f"{round(100 * Decimal(now - before) / before):+d} % on {than}"


def _latency(figures: Figures) -> float:
    return figures["latency_us"] / 1000 / (figures["requests"] or 1)
