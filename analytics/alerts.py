"""Alerts: which limits are passed, raised once a period, waiting until they are delivered."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from django.db.models import Q
from django.utils import timezone

from analytics.ledger.savings import cost_savings
from analytics.models import Alert, AlertRule, Budget, BudgetUsage, DailyTotal
from analytics.money import MoneySum, dollars
from analytics.quality.report import quality_report
from analytics.reports.sums import RECORDED

MOST_ATTEMPTS = 20
_CLAIMED_FOR = timedelta(minutes=2)
_PLACES = Decimal("1e-10")


@dataclass(frozen=True, slots=True)
class Reading:
    """What a rule watches now; ``value`` is ``None`` where nothing can be said yet."""

    rule: AlertRule
    period_start: date
    value: Decimal | None
    passed: bool
    text: str


def period_start(period: str, today: date) -> date:
    """The first day (UTC) of the period that ``today`` is in; weeks begin on Monday."""
    if period == AlertRule.Period.MONTH:
        return today.replace(day=1)
    if period == AlertRule.Period.WEEK:
        return today - timedelta(days=today.weekday())
    return today


def read_rule(rule: AlertRule, now: datetime | None = None) -> Reading:
    """What the rule sees now."""
    now = now or timezone.now()
    start = period_start(rule.period, now.astimezone(UTC).date())
    since = datetime(start.year, start.month, start.day, tzinfo=UTC)
    value, text = {
        AlertRule.Metric.SPEND: _spend,
        AlertRule.Metric.SAVINGS: _savings,
        AlertRule.Metric.QUALITY: _quality,
    }[AlertRule.Metric(rule.metric)](rule, since)
    passed = value is not None and (
        value > rule.limit if rule.metric == AlertRule.Metric.SPEND else _below(rule, value)
    )
    return Reading(rule, start, value, passed, f"{rule.name}: {text} (since {start}, UTC).")


def alerts_raise(now: datetime | None = None) -> list[Alert]:
    """Raise what is passed and has not been raised in its period; the new ones."""
    raised = []
    for rule in AlertRule.objects.filter(enabled=True):
        reading = read_rule(rule, now)
        if not reading.passed or reading.value is None:
            continue
        alert, new = Alert.objects.get_or_create(
            rule=rule,
            period_start=reading.period_start,
            defaults={"value": reading.value, "text": reading.text[:500]},
        )
        if new:
            raised.append(alert)
    return raised


def budget_alerts_raise() -> list[Alert]:
    """Raise what was passed of budgets' soft limits and has not been told; the new ones."""
    raised = []
    passed = BudgetUsage.objects.filter(soft_passed_at__isnull=False, alert=None)
    for usage in passed.select_related("account__budget"):
        budget = usage.account.budget
        if budget.soft_limit is None:
            continue
        alert, new = Alert.objects.get_or_create(
            usage=usage,
            defaults={
                "period_start": usage.start.date(),
                "value": usage.spent,
                "text": _of_budget(usage, budget)[:500],
            },
        )
        if new:
            raised.append(alert)
    return raised


def alerts_waiting(now: datetime | None = None) -> Iterator[Alert]:
    """Alerts to be delivered now, each to one caller only, however many ask."""
    now = now or timezone.now()
    free = Q(claimed_at=None) | Q(claimed_at__lt=now - _CLAIMED_FOR)
    waiting = Alert.objects.filter(free, delivered_at=None, attempts__lt=MOST_ATTEMPTS)
    for alert in waiting.select_related("rule", "usage__account__budget").order_by("raised_at"):
        if Alert.objects.filter(free, pk=alert.pk, delivered_at=None).update(claimed_at=now):
            yield alert


def alert_settle(alert: Alert, error: str = "") -> None:
    """It was delivered, or why not: then it is tried again."""
    alert.attempts += 1
    alert.error = error[:300]
    if not error:
        alert.delivered_at = timezone.now()
    alert.save(update_fields=["attempts", "error", "delivered_at"])


def _of_budget(usage: BudgetUsage, budget: Budget) -> str:
    whose = f" of {usage.account.subject}" if budget.each else ""
    hard = (
        f"; at {dollars(budget.limit)} requests are held back" if budget.limit is not None else ""
    )
    return (
        f"{budget.name}{whose}: the soft limit of {dollars(budget.soft_limit)} {budget.period_text} "
        f"is passed{hard}."
    )


def _below(rule: AlertRule, value: Decimal) -> bool:
    return value < (rule.limit if rule.metric == AlertRule.Metric.SAVINGS else -rule.limit)


def _spend(rule: AlertRule, since: datetime) -> tuple[Decimal | None, str]:
    if rule.user or rule.tag:
        by, name = ("user", rule.user) if rule.user else ("tag", rule.tag)
        figures = RECORDED.by(by, since).get(name)
        spent, whose = figures["cost"] if figures else Decimal(0), f"{by} {name} has spent "
    else:
        totals = DailyTotal.objects.filter(date__gte=since.date())
        spent, whose = totals.aggregate(total=MoneySum("cost"))["total"], "spent "
    return spent, f"{whose}{dollars(spent)}, limit {dollars(rule.limit)}"


def _savings(rule: AlertRule, since: datetime) -> tuple[Decimal | None, str]:
    found = cost_savings(since)
    if found["saved_low"] is None:
        return None, "too few requests to speak of savings"
    share = Decimal(str(found["percent_saved"]))
    return share, (
        f"saved {share} % of the baseline ({dollars(found['total_saved'])}), limit {rule.limit:f} %"
    )


def _quality(rule: AlertRule, since: datetime) -> tuple[Decimal | None, str]:
    difference = quality_report(float(rule.limit), since)["difference"]
    if difference["high"] is None:
        return None, "too few verdicts to speak of quality"
    high = Decimal(str(difference["high"])).quantize(_PLACES)
    return high, (
        f"quality differs from the baseline's by {difference['mean']:.3f} (at most {high:.3f} with "
        f"95 % confidence), limit -{rule.limit:f}"
    )
