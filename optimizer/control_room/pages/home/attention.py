"""What needs a look: each problem with the list that shows exactly what it is about."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import BigIntegerField, Count, Sum, Value
from django.db.models.functions import Cast
from django.urls import reverse

from analytics.alerts.outbox import undelivered
from analytics.budgets.report import AccountStanding
from analytics.models import Alert, BudgetHold, Notification, RefusalTotal
from analytics.money_shown import rounded_dollars
from analytics.reports.daily_spending import DailySpending
from analytics.reports.figures import Figures
from analytics.reports.unpriced import unpriced_answers
from optimizer.control_room.pages.period import ReportPeriod
from optimizer.presentation.counted import counted

_MOST_DAYS = 3
_NEARLY_USED = 90
_MANY_FAILED = 0.02
_REQUESTS, _DECISIONS = "analytics_requestrecord_changelist", "analytics_routingmetric_changelist"


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem in a sentence, and the page that shows it; ``needs`` is a permission for it."""

    text: str
    page: str = ""
    needs: str = ""


def problems(
    period: ReportPeriod,
    totals: Figures,
    circuits: Mapping[str, str],
    quality: Mapping[str, Any],
    accounts: Sequence[AccountStanding],
    spending: DailySpending,
    now: datetime,
) -> Iterator[Problem]:
    """Yield the problems of a period, the most urgent first."""
    yield from _circuits(circuits, period)
    yield from _budgets(accounts, now)
    if quality["verdict"] == "falls short":
        yield Problem(
            "Answers are significantly worse than the baseline's.",
            _list("analytics_comparison_changelist", period.list_query()),
            "analytics.view_comparison",
        )
    yield from _unusual_days(spending, period, now)
    counts = _counts(period)
    yield from _unpriced(counts, period)
    if totals["failed"] > _MANY_FAILED * max(totals["requests"], 1):
        share = 100 * totals["failed"] / totals["requests"]
        yield Problem(
            f"{counted(totals['failed'], 'request')} failed ({share:.1f} %).",
            _list(_REQUESTS, period.list_query(status__exact="error")),
        )
    yield from _refusals(counts, period)
    yield from _holds_and_alerts(counts)


def _list(page: str, query: str = "") -> str:
    address = reverse(f"admin:{page}")
    return f"{address}?{query}" if query else address


def _circuits(circuits: Mapping[str, str], period: ReportPeriod) -> Iterator[Problem]:
    for name, state in sorted(circuits.items()):
        if state != "closed":
            query = period.list_query(provider=name, status__exact="error")
            yield Problem(
                f"{name} failed too often: its circuit is {state.replace('_', ' ')}.",
                _list(_REQUESTS, query),
            )


def _budgets(accounts: Sequence[AccountStanding], now: datetime) -> Iterator[Problem]:
    for standing in accounts:
        if standing.left is None or standing.used_percent < _NEARLY_USED:
            continue
        owner = f" of {standing.subject}" if standing.budget.each else ""
        page = reverse("admin:analytics_budget_change", args=[standing.budget.pk])
        if standing.used_percent >= 100:
            text = f"The budget {standing.budget}{owner} is used up."
        else:
            text = f"The budget {standing.budget}{owner} is used to {standing.used_percent:.0f} %"
            ends = standing.runs_out_at(now)
            text += f", and lasts until {ends:%b %-d, %H:%M} UTC at this pace." if ends else "."
        yield Problem(text, page, "analytics.view_budget")


def _unusual_days(
    spending: DailySpending, period: ReportPeriod, now: datetime
) -> Iterator[Problem]:
    until = period.until - timedelta(microseconds=1) if period.until else now
    days = spending.unusual(period.since.date(), until.date())
    for unusual in days[:_MOST_DAYS]:
        start = datetime(unusual.day.year, unusual.day.month, unusual.day.day, tzinfo=UTC)
        day = ReportPeriod(start, start + timedelta(days=1), start, "")
        query = day.list_query(provider=unusual.provider, model=unusual.model)
        yield Problem(
            f"{unusual.day:%b %-d} cost {rounded_dollars(unusual.cost)}, {unusual.times:.0f} times "
            f"as much as a usual day, mostly for {unusual.provider}/{unusual.model}.",
            _list(_REQUESTS, query),
        )


def _unpriced(counts: Mapping[str, int], period: ReportPeriod) -> Iterator[Problem]:
    if unpriced := counts.get("unpriced", 0):
        have = "has" if unpriced == 1 else "have"
        yield Problem(
            f"{counted(unpriced, 'answer')} {have} no known price, or no baseline with one; no "
            "savings are counted.",
            _list(_DECISIONS, period.list_query(unpriced="1")),
        )


def _counts(period: ReportPeriod) -> Mapping[str, int]:
    """Count unpriced answers and refusals of a period, lost holds, alerts and notifications.

    The alerts are those that fire, the notifications those not delivered. It takes one query.
    """
    refusals = RefusalTotal.objects.filter(date__gte=period.since.date())
    if period.until is not None:
        refusals = refusals.filter(date__lt=period.until.date())
    holds = BudgetHold.objects.filter(lost_at__isnull=False)
    alerts = Notification.objects.filter(undelivered())
    first, *others = (
        rows.order_by().annotate(kind=Value(kind)).values("kind").annotate(number=number)
        for rows, kind, number in (
            (unpriced_answers(period.since, period.until), "unpriced", Count("pk")),
            (refusals, "refused", _summed("count")),
            (refusals, "unrecorded", _summed("unrecorded")),
            (holds, "holds", Count("pk")),
            (alerts, "alerts", Count("pk")),
            (Alert.objects.filter(resolved_at=None), "firing", Count("pk")),
        )
    )
    rows: Any = first.union(*others, all=True)
    return {row["kind"]: row["number"] for row in rows}


def _summed(column: str) -> Cast:
    return Cast(Sum(column), BigIntegerField())


def _refusals(counts: Mapping[str, int], period: ReportPeriod) -> Iterator[Problem]:
    refused, unrecorded = counts.get("refused", 0), counts.get("unrecorded", 0)
    if refused:
        more = f"; {unrecorded:,} of them have no row" if unrecorded else ""
        were = "was" if refused == 1 else "were"
        yield Problem(
            f"{counted(refused, 'request')} {were} refused since {period.since:%b %-d}{more}.",
            _list(_REQUESTS, period.whole_days().list_query(status__exact="refused")),
        )


def _holds_and_alerts(counts: Mapping[str, int]) -> Iterator[Problem]:
    lost_holds, not_sent = counts.get("holds", 0), counts.get("alerts", 0)
    if firing := counts.get("firing", 0):
        are = "is" if firing == 1 else "are"
        yield Problem(
            f"{counted(firing, 'alert')} {are} firing.", _list("alerts"), "analytics.view_alertrule"
        )
    if lost_holds:
        belong = "belongs" if lost_holds == 1 else "belong"
        yield Problem(
            f"{counted(lost_holds, 'hold')} {belong} to workers that stopped; budgets still count "
            "them.",
            _list("analytics_budgethold_changelist", "lost_at__isempty=0"),
            "analytics.view_budgethold",
        )
    if not_sent:
        yield Problem(
            f"{counted(not_sent, 'notification')} could not be delivered.",
            _list("analytics_notification_changelist", "undelivered=1"),
            "analytics.view_notification",
        )
