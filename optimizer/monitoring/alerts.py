"""Watches limits and sends notifications, digests among them; both are repeated regularly."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from analytics.alerts.digest_issues import digests_issue
from analytics.alerts.notice import Notice
from analytics.alerts.raising import alerts_raise, budget_alerts_raise
from analytics.models import AlertRule, Digest, NotificationChannel
from optimizer.monitoring.notifications import channel_test, notifications_send, target_test
from routing.adjustments.guarantee import Guarantee

logger = logging.getLogger(__name__)


def limits_watch(
    circuits: Mapping[str, str] | None = None, guarantee: Guarantee | None = None
) -> None:
    """Raise and resolve alerts.

    ``circuits`` are the states of the providers' circuits, by provider, ``guarantee`` is the one in
    force. Reads the database: not for the event loop.
    """
    for alert in budget_alerts_raise():
        logger.warning("Alert: %s", alert.text)
    for alert in alerts_raise(circuits=circuits, guarantee=guarantee):
        logger.warning("Alert: %s", alert.text)


def watch(guarantee: Guarantee | None = None) -> None:
    """Raise and resolve alerts, make the digests that are due, and send what waits, now."""
    limits_watch(guarantee=guarantee)
    digests_issue()
    notifications_send()


def rule_test(rule: AlertRule | Digest) -> list[str]:
    """Send a test to all places of an alert or a digest now; return the errors."""
    return target_test(rule, _test_message(rule.name))


def channel_send_test(channel: NotificationChannel) -> list[str]:
    """Send a test to a channel now; return the error, if there is one."""
    return channel_test(channel, _test_message(channel.name))


def _test_message(name: str) -> Notice:
    text = f"{name}: this is a test."
    return Notice(f"Test of {name}", text, data={"alert": name, "test": True})
