"""Raises and resolves alerts, each once, whatever number of workers looks at the same time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.utils import timezone

from analytics.alerts.metrics import EVENTS, PERIODIC, read_rule, rule_readings
from analytics.alerts.outbox import notifications_add
from analytics.alerts.reading import Reading
from analytics.alerts.subject_figures import is_above_others
from analytics.models import Alert, AlertRule, Budget, BudgetUsage, Notification
from analytics.money import dollars
from routing.adjustments.guarantee import Guarantee

CALM = timedelta(minutes=10)
"""A figure must stay within its limit so long before its alert is resolved."""
_UNUSUAL_EVERY = timedelta(minutes=10)
"""Whole hours are compared, so that looking each minute would find nothing new."""
_BY_SUBJECT = frozenset((AlertRule.Metric.BUDGET, AlertRule.Metric.CIRCUIT)) | EVENTS


def alerts_raise(
    now: datetime | None = None,
    circuits: Mapping[str, str] | None = None,
    guarantee: Guarantee | None = None,
) -> list[Alert]:
    """Look at each enabled rule; raise and resolve its alerts, and return the new ones.

    ``circuits`` are the states of the providers' circuits, by provider, ``guarantee`` is the one in
    force. A rule that cannot be read keeps no other one from being looked at; then an
    ``ExceptionGroup`` is raised at the end.
    """
    now = now or timezone.now()
    raised: list[Alert] = []
    errors: list[Exception] = []
    for rule in AlertRule.objects.filter(enabled=True):
        try:
            raised += _look(rule, now, circuits or {}, guarantee)
        except Exception as error:  # noqa: BLE001 - raised below, once the others were looked at
            error.add_note(f"of the alert rule {rule.pk}")
            errors.append(error)
    # Nobody is notified of the end of what is no longer watched.
    Alert.objects.filter(rule__enabled=False, resolved_at=None).update(resolved_at=now)
    if errors:
        raise ExceptionGroup("alert rules cannot be read", errors)
    return raised


def _look(
    rule: AlertRule, now: datetime, circuits: Mapping[str, str], guarantee: Guarantee | None
) -> list[Alert]:
    if not _is_due(rule, now):
        return []
    readings = rule_readings(rule, now, circuits, guarantee)
    raised = _apply(rule, readings, now)
    _note(rule, readings, now, circuits)
    return raised


def budget_alerts_raise(now: datetime | None = None) -> list[Alert]:
    """Raise an alert for each passed soft limit of a budget, once; return the new alerts."""
    now = now or timezone.now()
    raised = []
    usages = BudgetUsage.objects.filter(soft_passed_at__isnull=False, alert=None)
    for usage in usages.select_related("account__budget"):
        budget = usage.account.budget
        if budget.soft_limit is None:
            continue
        alert = Alert(
            usage=usage, period_start=usage.start.date(), value=usage.spent, raised_at=now,
            resolved_at=now, text=_soft_limit_text(usage, budget)[:500],
        )  # fmt: skip
        if _create(alert, notify=True):
            raised.append(alert)
    return raised


def rule_mute(rule: AlertRule, until: datetime | None) -> None:
    """Notify nobody of ``rule`` until then; ``None`` ends it.

    What is raised meanwhile, and not over by then, is sent afterwards.
    """
    AlertRule.objects.filter(pk=rule.pk).update(muted_until=until)


def _is_due(rule: AlertRule, now: datetime) -> bool:
    if rule.metric != AlertRule.Metric.UNUSUAL or rule.checked_at is None:
        return True
    return now - rule.checked_at >= _UNUSUAL_EVERY or now < rule.checked_at


def _note(
    rule: AlertRule, readings: Sequence[Reading], now: datetime, circuits: Mapping[str, str]
) -> None:
    """Keep what was read, so that pages need not read it again."""
    reading = read_rule(rule, now, circuits) if rule.metric in _BY_SUBJECT else readings[0]
    AlertRule.objects.filter(pk=rule.pk).update(
        checked_at=now, last_value=reading.value, last_text=reading.text[:500]
    )


def _apply(rule: AlertRule, readings: Sequence[Reading], now: datetime) -> list[Alert]:
    if rule.metric in EVENTS:
        return [alert for reading in readings if (alert := _raise_event(rule, reading, now))]
    muted = rule.is_muted(now)
    open_alerts = {alert.subject: alert for alert in rule.alerts.filter(resolved_at=None)}
    passed = {reading.subject for reading in readings if reading.passed}
    raised = []
    for reading in readings:
        alert = open_alerts.pop(reading.subject, None)
        if alert is not None and _is_over(rule, alert, reading):
            _resolve(rule, alert, f"{rule.name}: a new period began.", now, muted)
            alert = None
        if reading.passed and alert is None:
            quiet = rule.metric == AlertRule.Metric.BUDGET and not is_above_others(
                reading.subject, passed
            )
            new = _raise(rule, reading, now, quiet, muted)
            raised += [new] if new else []
        elif alert is not None:
            _follow(rule, alert, reading, now, muted)
    for alert in open_alerts.values():  # of subjects that are gone, such as a closed circuit
        _calm(rule, alert, f"{rule.name}: {_subject_of(alert)}is over.", now, muted)
    return raised


def _is_over(rule: AlertRule, alert: Alert, reading: Reading) -> bool:
    """Return whether the alert is one of an earlier calendar period."""
    periodic = rule.metric in PERIODIC or rule.metric == AlertRule.Metric.BUDGET
    return periodic and alert.period_start != reading.period_start


def _raise(
    rule: AlertRule, reading: Reading, now: datetime, quiet: bool, muted: bool
) -> Alert | None:
    assert reading.value is not None
    earlier = rule.alerts.filter(period_start=reading.period_start, subject=reading.subject)
    episode = earlier.count()
    if episode and rule.metric in PERIODIC:
        return None
    alert = Alert(
        rule=rule, period_start=reading.period_start, subject=reading.subject, episode=episode,
        raised_at=now, value=reading.value, text=reading.full_text[:500],
        notified=quiet,
    )  # fmt: skip
    return alert if _create(alert, notify=not quiet and not muted) else None


def _raise_event(rule: AlertRule, reading: Reading, now: datetime) -> Alert | None:
    """Raise an alert that is over at once, unless it was raised before."""
    assert reading.value is not None
    if rule.alerts.filter(period_start=reading.period_start, subject=reading.subject).exists():
        return None
    alert = Alert(
        rule=rule, period_start=reading.period_start, subject=reading.subject, raised_at=now,
        resolved_at=now, value=reading.value, text=reading.full_text[:500],
    )  # fmt: skip
    return alert if _create(alert, notify=not rule.is_muted(now)) else None


def _create(alert: Alert, *, notify: bool) -> bool:
    """Write the alert with its notifications; return whether nobody else had written it."""
    try:
        with transaction.atomic():
            alert.notified = alert.notified or notify
            alert.save(force_insert=True)
            if notify:
                notifications_add(alert.target, Notification.Event.RAISED, alert=alert)
    except IntegrityError:
        return False
    return True


def _follow(rule: AlertRule, alert: Alert, reading: Reading, now: datetime, muted: bool) -> None:
    """Follow an open alert: notify after a mute, and resolve it once its figure stays calm."""
    if reading.calm and not reading.passed:
        _calm(rule, alert, f"Resolved: {reading.full_text}", now, muted)
        return
    if alert.calm_since is not None:
        Alert.objects.filter(pk=alert.pk, resolved_at=None).update(calm_since=None)
    if reading.passed and not alert.notified and not muted:
        with transaction.atomic():
            if Alert.objects.filter(pk=alert.pk, notified=False).update(notified=True):
                notifications_add(rule, Notification.Event.RAISED, alert=alert)


def _calm(rule: AlertRule, alert: Alert, text: str, now: datetime, muted: bool) -> None:
    if alert.calm_since is None:
        Alert.objects.filter(pk=alert.pk, resolved_at=None, calm_since=None).update(calm_since=now)
    elif now - alert.calm_since >= CALM:
        _resolve(rule, alert, text, now, muted)


def _resolve(rule: AlertRule, alert: Alert, text: str, now: datetime, muted: bool) -> None:
    with transaction.atomic():
        if not Alert.objects.filter(pk=alert.pk, resolved_at=None).update(
            resolved_at=now, end_text=text[:500]
        ):
            return
        if alert.notified and not muted and _notifies_end(rule, alert):
            notifications_add(rule, Notification.Event.RESOLVED, alert=alert)


def _notifies_end(rule: AlertRule, alert: Alert) -> bool:
    """Return whether people hear of the end; of a budget, only that it may be used again."""
    is_step = rule.metric == AlertRule.Metric.BUDGET and not alert.subject.endswith(" 100 %")
    return rule.notify_resolved and not is_step


def _subject_of(alert: Alert) -> str:
    return f"{alert.subject} " if alert.subject else ""


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
