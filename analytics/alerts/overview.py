"""Alert rules, channels and digests with their states, for the page that shows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Exists, OuterRef, Subquery

from analytics.alerts.outbox import undelivered
from analytics.models import Alert, AlertRule, Digest, DigestIssue, Notification
from analytics.models.notification_target import NotificationChannel, NotificationTarget

_MOST_ALERTS = 30


@dataclass(frozen=True, slots=True)
class RuleState:
    """A rule with its state: "off", "muted", "firing", "no data" or "ok".

    ``places`` is who is notified.
    """

    rule: AlertRule
    state: str
    places: str


@dataclass(frozen=True, slots=True)
class AlertsOverview:
    """What the page of alerts shows."""

    rules: Sequence[RuleState]
    channels: Sequence[NotificationChannel]
    digests: Sequence[tuple[Digest, str]]
    alerts: Sequence[Alert]
    failed: int


def alerts_overview(now: datetime) -> AlertsOverview:
    """Return all rules, channels and digests, and the latest alerts; eight queries."""
    firing = Alert.objects.filter(rule=OuterRef("pk"), resolved_at=None)
    rules = AlertRule.objects.annotate(is_firing=Exists(firing)).prefetch_related("channels")
    latest = Notification.objects.filter(channel=OuterRef("pk")).order_by("-created_at")
    channels = NotificationChannel.objects.annotate(
        last_error=Subquery(latest.values("error")[:1]),
        last_at=Subquery(latest.values("delivered_at")[:1]),
    )
    issue = DigestIssue.objects.filter(digest=OuterRef("pk")).order_by("-made_at")
    digests = Digest.objects.annotate(last_at=Subquery(issue.values("made_at")[:1]))
    return AlertsOverview(
        [RuleState(rule, _state(rule, now), places_text(rule)) for rule in rules],
        list(channels),
        [(digest, places_text(digest)) for digest in digests.prefetch_related("channels")],
        list(
            Alert.objects.select_related("rule", "usage__account__budget").order_by("-raised_at")[
                :_MOST_ALERTS
            ]
        ),
        Notification.objects.filter(undelivered()).count(),
    )


def places_text(target: NotificationTarget) -> str:
    """Return who is notified, without secrets."""
    places = [str(channel) for channel in target.channels.all()]
    if target.webhook:
        places.append("a webhook")
    return ", ".join([*places, *target.recipients]) or "nobody"


def _state(rule: AlertRule, now: datetime) -> str:
    if not rule.enabled:
        return "off"
    if rule.is_muted(now):
        return "muted"
    if rule.is_firing:  # type: ignore[attr-defined]
        return "firing"
    return "no data" if rule.checked_at is not None and rule.last_value is None else "ok"
