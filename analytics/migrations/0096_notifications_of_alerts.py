"""Write the deliveries of alerts as notifications, and end the alerts of before."""

from typing import Any

from django.db import migrations
from django.db.models import F

_MOST_ATTEMPTS = 20
_EVENTS = ("runaway", "autopilot")


def forwards(apps: Any, schema_editor: Any) -> None:
    alias = schema_editor.connection.alias
    alerts = apps.get_model("analytics", "Alert").objects.using(alias)
    rules = apps.get_model("analytics", "AlertRule").objects.using(alias)
    notifications = apps.get_model("analytics", "Notification").objects.using(alias)
    # The latest alert of a rule may still be firing; all others are over, as events are at once.
    alerts.update(resolved_at=F("raised_at"), notified=True)
    for rule in rules.exclude(metric__in=_EVENTS):
        latest = alerts.filter(rule=rule).order_by("-raised_at").first()
        if latest is not None:
            alerts.filter(pk=latest.pk).update(resolved_at=None)
    # Those who made these rules do not expect a second notification.
    rules.update(notify_resolved=False)
    for alert in alerts.select_related("rule", "usage__account__budget").iterator():
        target = alert.usage.account.budget if alert.usage_id else alert.rule
        waits = alert.delivered_at is None and alert.attempts < _MOST_ATTEMPTS
        for direct, used in (("webhook", target.webhook), ("email", target.emails)):
            if used:
                notifications.create(
                    alert=alert, event="raised", direct=direct, created_at=alert.raised_at,
                    due_at=alert.raised_at if waits else None, attempts=alert.attempts,
                    error=alert.error, delivered_at=alert.delivered_at,
                )  # fmt: skip
    # Writing the addresses again encrypts them, where a key is set.
    for table in ("AlertRule", "Budget"):
        for row in apps.get_model("analytics", table).objects.using(alias).exclude(webhook=""):
            row.save(update_fields=["webhook"])


class Migration(migrations.Migration):
    dependencies = [("analytics", "0095_notification_places")]

    operations = [migrations.RunPython(forwards, migrations.RunPython.noop)]
