"""Figures of calendar periods (UTC): spend, its forecast, savings, quality, invoices."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

from django.db.models.functions import TruncDay

from analytics.alerts.reading import PLACES, Reading, above, below, period_start
from analytics.alerts.unusual_spend import unusual_spend
from analytics.ledger.savings import cost_savings
from analytics.models import AlertRule, DailyTotal
from analytics.money import MoneySum, dollars
from analytics.quality.report import quality_report
from analytics.reconciliation.matching import missing_since
from analytics.reports.daily_spending import DailySpending
from analytics.reports.exploration.cells import kept_cells
from analytics.reports.exploration.scans import CellQuery
from analytics.reports.intervals import MIN_REQUESTS
from analytics.reports.rollup_coverage import RollupCoverage, day_of, start_of_day

_FORECAST_DAYS = 38
"""Days that a forecast reads: those of this month, and the week before it."""


def spend_reading(rule: AlertRule, now: datetime) -> Reading:
    """Return what was spent since the period began."""
    start = period_start(rule.period, day_of(now).date())
    spent = _spent(rule, start_of_day(start), now)
    text = f"{_subject(rule)}spent {dollars(spent)}, limit {dollars(rule.limit)}{_since(start)}"
    return above(rule, start, spent, text)


def forecast_reading(rule: AlertRule, now: datetime) -> Reading:
    """Return what the month will cost at the pace of the last seven days."""
    start = day_of(now).date().replace(day=1)
    forecast = spending_by_day(rule.filters, now).forecast(now)
    if forecast is None:
        return above(rule, start, None, "no whole day of spending yet to forecast from.")
    text = (
        f"the month{rule.filter_text} will cost {dollars(forecast.expected)} at the pace of the "
        f"last seven days ({dollars(forecast.spent)} so far), limit {dollars(rule.limit)}."
    )
    return above(rule, start, forecast.expected.quantize(PLACES), text)


def unusual_reading(rule: AlertRule, now: datetime) -> Reading:
    """Return how much more the last hours cost than is usual for them."""
    today = day_of(now).date()
    windows = unusual_spend(rule.filters, now)
    if not windows:
        text = "too little spending, or less than three weeks of it, to know what is usual."
        return Reading(rule, today, None, passed=False, text=text)
    passing = [w for w in windows if w.figures.is_unusual and w.excess > rule.limit]
    spend = (passing or windows)[0]
    figures, hours = spend.figures, spend.hours
    span = "hour" if hours == 1 else f"{hours} hours"
    text = (
        f"the {span} until {spend.until:%Y-%m-%d %H:%M} UTC{rule.filter_text} cost "
        f"{dollars(_usd(figures.amount))}; usual for this time of the week is "
        f"{dollars(_usd(figures.expected))}, unusual from {dollars(_usd(figures.bound))} on."
    )
    calm = all(w.figures.is_calm or w.excess <= rule.limit / 2 for w in windows)
    return Reading(rule, today, spend.excess, bool(passing), text, calm=calm)


def savings_reading(rule: AlertRule, now: datetime) -> Reading:
    """Return the share of the baseline that was saved since the period began."""
    start = period_start(rule.period, day_of(now).date())
    savings = cost_savings(start_of_day(start))
    if savings["paired_requests"] < MIN_REQUESTS:
        text = f"too few requests to estimate the savings{_since(start)}"
        return below(rule, start, None, rule.limit, text)
    share = Decimal(str(savings["percent_saved"]))
    text = (
        f"saved {share} % of the baseline ({dollars(savings['total_saved'])}), "
        f"limit {rule.limit_text} %{_since(start)}"
    )
    return below(rule, start, share, rule.limit, text)


def quality_reading(rule: AlertRule, now: datetime) -> Reading:
    """Return the upper bound of the difference in quality since the period began."""
    start = period_start(rule.period, day_of(now).date())
    difference = quality_report(float(rule.limit), start_of_day(start))["difference"]
    if difference["high"] is None:
        text = f"too few verdicts to estimate the quality{_since(start)}"
        return below(rule, start, None, -rule.limit, text)
    high = Decimal(str(difference["high"])).quantize(PLACES)
    text = (
        f"quality differs from the baseline's by {difference['mean']:.3f} (at most {high:.3f} with "
        f"95 % confidence), limit -{rule.limit_text}{_since(start)}"
    )
    return below(rule, start, high, -rule.limit, text)


def invoice_reading(rule: AlertRule, now: datetime) -> Reading:
    """Return by which share the ledger and the providers' statements differ."""
    start = period_start(rule.period, day_of(now).date())
    missing, invoice = missing_since(start)
    if not invoice:
        text = "no provider's statement of these days was read (manage.py reconcile)" + _since(
            start
        )
        return above(rule, start, None, text)
    share = (100 * missing / invoice).quantize(PLACES)
    text = (
        f"the ledger and the providers' statements differ by {dollars(missing)}, {share:.2f} % "
        f"of {dollars(invoice)}, limit {rule.limit_text} %{_since(start)}"
    )
    return above(rule, start, share, text)


def spending_by_day(filters: dict[str, str], now: datetime) -> DailySpending:
    """Return the costs of this month's days and of the week before, of requests with ``filters``.

    Filters are those that kept sums hold.
    """
    first = day_of(now) - timedelta(days=_FORECAST_DAYS)
    if not filters:
        return DailySpending.since(first.date())
    query = CellQuery((), first, now, TruncDay)
    (cells,), _ = kept_cells([query], filters, RollupCoverage.now(first), (), ("cost",))
    by_day = {at.date(): figures["cost"] for (at, _), figures in cells.items() if at is not None}
    return DailySpending(by_day, {})


def _spent(rule: AlertRule, since: datetime, now: datetime) -> Decimal:
    if not rule.filters:
        totals = DailyTotal.objects.filter(date__gte=since.date())
        return Decimal(totals.aggregate(total=MoneySum("cost"))["total"])
    until = max(now, since) + timedelta(days=1)  # a request that was recorded just now
    query = CellQuery((), since, until)
    (cells,), _ = kept_cells([query], rule.filters, RollupCoverage.now(since), (), ("cost",))
    return sum((figures["cost"] for figures in cells.values()), Decimal(0))


def _subject(rule: AlertRule) -> str:
    return f"{rule.filter_text.removeprefix(' of ')} has " if rule.filters else ""


def _since(start: object) -> str:
    return f" (since {start}, UTC)."


def _usd(amount: float) -> Decimal:
    return Decimal(str(round(amount, 10)))
