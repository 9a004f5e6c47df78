"""Alerts: which limits are passed; each is raised once a period and waits for its delivery."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from django.db.models import Q, QuerySet
from django.utils import timezone

from analytics.autopilot.steps import decisive_steps
from analytics.ledger.savings import cost_savings
from analytics.models import AgentSession, Alert, AlertRule, Budget, BudgetUsage, DailyTotal
from analytics.money import MoneySum, dollars
from analytics.quality.report import quality_report
from analytics.reconciliation.matching import missing_since
from analytics.reports.intervals import MIN_REQUESTS
from analytics.reports.sum_sources import RECORDED

MAX_ATTEMPTS = 20
_CLAIM_LASTS = timedelta(minutes=2)
_PLACES = Decimal("1e-10")
_MOST_RUNAWAYS = _MOST_STEPS = 100
_ABOVE = frozenset((AlertRule.Metric.SPEND, AlertRule.Metric.INVOICE))
"""Metrics whose limit is passed from below."""
_BY_SUBJECT = frozenset((AlertRule.Metric.RUNAWAY, AlertRule.Metric.AUTOPILOT))
"""Metrics that are passed by each of their subjects."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The state of a rule now; ``value`` is ``None`` while there is too little data."""

    rule: AlertRule
    period_start: date
    value: Decimal | None
    passed: bool
    text: str


def period_start(period: str, today: date) -> date:
    """Return the first day (UTC) of the period that ``today`` is in; weeks begin on Monday."""
    if period == AlertRule.Period.MONTH:
        return today.replace(day=1)
    if period == AlertRule.Period.WEEK:
        return today - timedelta(days=today.weekday())
    return today


def read_rule(rule: AlertRule, now: datetime | None = None) -> Reading:
    """Return the current reading of ``rule``."""
    now = now or timezone.now()
    start = period_start(rule.period, now.astimezone(UTC).date())
    since = datetime(start.year, start.month, start.day, tzinfo=UTC)
    value, text = {
        AlertRule.Metric.SPEND: _spend,
        AlertRule.Metric.SAVINGS: _savings,
        AlertRule.Metric.QUALITY: _quality,
        AlertRule.Metric.INVOICE: _invoice,
        AlertRule.Metric.RUNAWAY: _runaway,
        AlertRule.Metric.AUTOPILOT: _autopilot,
    }[AlertRule.Metric(rule.metric)](rule, since)
    if rule.metric in _BY_SUBJECT:
        passed = bool(value)
    else:
        passed = value is not None and (
            value > rule.limit if rule.metric in _ABOVE else _below(rule, value)
        )
    return Reading(rule, start, value, passed, f"{rule.name}: {text} (since {start}, UTC).")


def alerts_raise(now: datetime | None = None) -> list[Alert]:
    """Raise an alert for each passed rule, once a period; return the new alerts."""
    raised: list[Alert] = []
    for rule in AlertRule.objects.filter(enabled=True):
        if rule.metric == AlertRule.Metric.RUNAWAY:
            raised += _runaways_raise(rule, now or timezone.now())
            continue
        if rule.metric == AlertRule.Metric.AUTOPILOT:
            raised += _autopilot_raise(rule, now or timezone.now())
            continue
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


def _runaways_raise(rule: AlertRule, now: datetime) -> Iterator[Alert]:
    """Raise an alert for each session that ran away in the period, and yield the new ones."""
    start = period_start(rule.period, now.astimezone(UTC).date())
    since = datetime(start.year, start.month, start.day, tzinfo=UTC)
    for session in _runaways(rule, since).order_by("-runaway_at")[:_MOST_RUNAWAYS]:
        whose = f" of {session.user_id}" if session.user_id else ""
        text = (
            f"{rule.name}: the session {session.session_id}{whose} ({session.agent or 'unknown'}) "
            f"runs away, {dollars(session.cost)} so far. {session.runaway_reason}"
        )
        alert, new = Alert.objects.get_or_create(
            rule=rule,
            period_start=start,
            subject=f"{session.tenant}/{session.session_id}",
            defaults={"value": session.cost, "text": text[:500]},
        )
        if new:
            yield alert


def _autopilot_raise(rule: AlertRule, now: datetime) -> Iterator[Alert]:
    """Raise an alert for each decision of the autopilot in the period, and yield the new ones."""
    start = period_start(rule.period, now.astimezone(UTC).date())
    since = datetime(start.year, start.month, start.day, tzinfo=UTC)
    for step in decisive_steps(since)[:_MOST_STEPS]:
        alert, new = Alert.objects.get_or_create(
            rule=rule,
            period_start=start,
            subject=f"step {step.pk}",
            defaults={
                "value": Decimal(step.pk),
                "text": f"{rule.name}: {step.subject}: {step.after}, as {step.reason}."[:500],
            },
        )
        if new:
            yield alert


def _runaways(rule: AlertRule, since: datetime) -> QuerySet[AgentSession]:
    rows = AgentSession.objects.filter(
        runaway_at__gte=since, sub_agent="", cost__gte=max(rule.limit, Decimal(0))
    )
    return rows.filter(user_id=rule.user) if rule.user else rows


def budget_alerts_raise() -> list[Alert]:
    """Raise an alert for each passed soft limit of a budget, once; return the new alerts."""
    raised = []
    usages = BudgetUsage.objects.filter(soft_passed_at__isnull=False, alert=None)
    for usage in usages.select_related("account__budget"):
        budget = usage.account.budget
        if budget.soft_limit is None:
            continue
        alert, new = Alert.objects.get_or_create(
            usage=usage,
            defaults={
                "period_start": usage.start.date(),
                "value": usage.spent,
                "text": _soft_limit_text(usage, budget)[:500],
            },
        )
        if new:
            raised.append(alert)
    return raised


def alerts_waiting(now: datetime | None = None) -> Iterator[Alert]:
    """Yield the alerts to deliver now; concurrent callers never get the same alert."""
    now = now or timezone.now()
    unclaimed = Q(claimed_at=None) | Q(claimed_at__lt=now - _CLAIM_LASTS)
    waiting = Alert.objects.filter(unclaimed, delivered_at=None, attempts__lt=MAX_ATTEMPTS)
    for alert in waiting.select_related("rule", "usage__account__budget").order_by("raised_at"):
        if Alert.objects.filter(unclaimed, pk=alert.pk, delivered_at=None).update(claimed_at=now):
            yield alert


def alert_record_attempt(alert: Alert, error: str = "") -> None:
    """Record a delivery; with an ``error``, the delivery is tried again later."""
    alert.attempts += 1
    alert.error = error[:300]
    if not error:
        alert.delivered_at = timezone.now()
    alert.save(update_fields=["attempts", "error", "delivered_at"])


def _soft_limit_text(usage: BudgetUsage, budget: Budget) -> str:
    subject = f" of {usage.account.subject}" if budget.each else ""
    hard_limit = (
        f"; at {dollars(budget.limit)} the budget refuses requests"
        if budget.limit is not None
        else ""
    )
    return (
        f"{budget.name}{subject}: the soft limit of {dollars(budget.soft_limit)} "
        f"{budget.period_text} is passed{hard_limit}."
    )


def _below(rule: AlertRule, value: Decimal) -> bool:
    return value < (rule.limit if rule.metric == AlertRule.Metric.SAVINGS else -rule.limit)


def _spend(rule: AlertRule, since: datetime) -> tuple[Decimal | None, str]:
    if rule.user or rule.tag:
        by, name = ("user", rule.user) if rule.user else ("tag", rule.tag)
        figures = RECORDED.by(by, since).get(name)
        spent, prefix = figures["cost"] if figures else Decimal(0), f"{by} {name} has spent "
    else:
        totals = DailyTotal.objects.filter(date__gte=since.date())
        spent, prefix = totals.aggregate(total=MoneySum("cost"))["total"], "spent "
    return spent, f"{prefix}{dollars(spent)}, limit {dollars(rule.limit)}"


def _savings(rule: AlertRule, since: datetime) -> tuple[Decimal | None, str]:
    savings = cost_savings(since)
    if savings["paired_requests"] < MIN_REQUESTS:
        return None, "too few requests to estimate the savings"
    share = Decimal(str(savings["percent_saved"]))
    return share, (
        f"saved {share} % of the baseline ({dollars(savings['total_saved'])}), "
        f"limit {rule.limit:f} %"
    )


def _quality(rule: AlertRule, since: datetime) -> tuple[Decimal | None, str]:
    difference = quality_report(float(rule.limit), since)["difference"]
    if difference["high"] is None:
        return None, "too few verdicts to estimate the quality"
    high = Decimal(str(difference["high"])).quantize(_PLACES)
    return high, (
        f"quality differs from the baseline's by {difference['mean']:.3f} (at most {high:.3f} with "
        f"95 % confidence), limit -{rule.limit:f}"
    )


def _runaway(rule: AlertRule, since: datetime) -> tuple[Decimal | None, str]:
    count = _runaways(rule, since).count()
    limit = f" that cost {dollars(rule.limit)} or more" if rule.limit > 0 else ""
    return Decimal(count), f"{count} session{'' if count == 1 else 's'}{limit} ran away"


def _autopilot(rule: AlertRule, since: datetime) -> tuple[Decimal | None, str]:
    count = decisive_steps(since).count()
    return Decimal(count), f"the autopilot decided {count} time{'' if count == 1 else 's'}"


def _invoice(rule: AlertRule, since: datetime) -> tuple[Decimal | None, str]:
    missing, invoice = missing_since(since.date())
    if not invoice:
        return None, "no provider's statement of these days was read (manage.py reconcile)"
    share = (100 * missing / invoice).quantize(_PLACES)
    return share, (
        f"the ledger and the providers' statements differ by {dollars(missing)}, {share:.2f} % "
        f"of {dollars(invoice)}, limit {rule.limit:f} %"
    )
