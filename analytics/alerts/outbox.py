"""Notifications that wait to be sent: written with what they are about, kept until they arrive."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db.models import Q
from django.utils import timezone

from analytics.alerts.notice import Notice
from analytics.models import Alert, DigestIssue, Notification
from analytics.models.notification_target import NotificationTarget

LEASE = timedelta(minutes=2)
"""Whoever takes a notification has so long to send it before somebody else does."""
GIVEN_UP_AFTER = timedelta(days=7)
_FIRST_WAIT, _LONGEST_WAIT = timedelta(seconds=30), timedelta(hours=1)
_MOST = 500


def notifications_add(
    target: NotificationTarget,
    event: str,
    *,
    alert: Alert | None = None,
    issue: DigestIssue | None = None,
) -> list[Notification]:
    """Write one notification for each place of ``target``; call it within a transaction."""
    places: list[Notification] = [
        Notification(channel=channel) for channel in target.channels.filter(enabled=True)
    ]
    if target.webhook:
        places.append(Notification(direct=Notification.Direct.WEBHOOK))
    if target.recipients:
        places.append(Notification(direct=Notification.Direct.EMAIL))
    for place in places:
        place.event, place.alert, place.issue = event, alert, issue
    return Notification.objects.bulk_create(places)


def notifications_claim(now: datetime | None = None, most: int = _MOST) -> list[Notification]:
    """Take the notifications that are due; concurrent callers never get the same one."""
    now = now or timezone.now()
    reachable = Q(channel=None) | Q(channel__enabled=True)
    due = Notification.objects.filter(reachable, due_at__lte=now, delivered_at=None)
    rows = due.select_related(
        "channel", "alert__rule", "alert__usage__account__budget", "issue__digest"
    ).order_by("created_at", "pk")[:most]
    return [
        row
        for row in rows
        if Notification.objects.filter(pk=row.pk, due_at=row.due_at, delivered_at=None).update(
            due_at=now + LEASE
        )
    ]


def notifications_release(rows: Sequence[Notification], now: datetime | None = None) -> None:
    """Give back notifications for which there was no time."""
    Notification.objects.filter(pk__in=[row.pk for row in rows]).update(
        due_at=now or timezone.now()
    )


def notification_record(row: Notification, error: str, now: datetime | None = None) -> None:
    """Record an attempt; with an ``error``, it is repeated with longer and longer pauses.

    A notification that has not arrived after a week is given up.
    """
    now = now or timezone.now()
    row.attempts += 1
    row.error = error[:300]
    if not error:
        row.delivered_at, row.due_at = now, None
    elif now - row.created_at >= GIVEN_UP_AFTER:
        row.due_at = None
    else:
        row.due_at = now + min(_FIRST_WAIT * 2 ** min(row.attempts, 10), _LONGEST_WAIT)
    row.save(update_fields=["attempts", "error", "delivered_at", "due_at"])


def undelivered() -> Q:
    """Return the condition of notifications that failed and have not arrived since."""
    return Q(delivered_at=None) & ~Q(error="")


def target_of(row: Notification) -> NotificationTarget:
    """Return the rule, budget or digest whose addresses a direct notification goes to."""
    if row.issue is not None:
        return row.issue.digest
    assert row.alert is not None
    return row.alert.target


def message_of(row: Notification) -> Notice:
    """Return what a notification says."""
    if row.issue is not None:
        return Notice.from_json(row.issue.content)
    assert row.alert is not None
    return alert_message(row.alert, resolved=row.event == Notification.Event.RESOLVED)


def alert_message(alert: Alert, *, resolved: bool = False) -> Notice:
    """Return the message that an alert was raised, or that it is over."""
    text = alert.end_text if resolved else alert.text
    state = "resolved" if resolved else "firing"
    over = alert.resolved_at if resolved else None
    data = {
        "alert": alert.source,
        "state": state,
        "value": float(alert.value),
        **_watched_limit(alert),
        "period_start": alert.period_start.isoformat(),
        "raised_at": alert.raised_at.isoformat(),
        **(
            {"resolved_at": alert.resolved_at.isoformat()} if resolved and alert.resolved_at else {}
        ),
        "id": alert.pk,
    }
    title = f"Resolved: {alert.source}" if resolved else text
    if not resolved and len(text) > 120:
        title = alert.source
    facts = [("Raised", f"{alert.raised_at:%Y-%m-%d %H:%M} UTC")]
    if over:
        facts.append(("Over", f"{over:%Y-%m-%d %H:%M} UTC"))
    return Notice(title, text, facts, data=data)


def _watched_limit(alert: Alert) -> dict[str, object]:
    if alert.usage is not None:
        budget = alert.usage.account.budget
        return {
            "metric": "budget",
            "subject": alert.usage.account.subject,
            "limit": float(budget.soft_limit or 0),
            "period": budget.period,
        }
    rule = alert.rule
    assert rule is not None
    subject = {"subject": alert.subject} if alert.subject else {}
    filters = {"filters": rule.filters} if rule.filters else {}
    return {
        "metric": rule.metric, **subject, **filters, "limit": float(rule.limit),
        "period": rule.period,
    }  # fmt: skip
