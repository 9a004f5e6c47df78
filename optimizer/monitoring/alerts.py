"""Delivery of alerts by webhook, e-mail or both, repeated until it succeeds."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

import httpx
from django.conf import settings
from django.core.mail import send_mail

from analytics.alerts import (
    alert_record_attempt,
    alerts_raise,
    alerts_waiting,
    budget_alerts_raise,
)
from analytics.exports.messages import chat_text, mail_subject
from analytics.exports.printable import printable
from analytics.models import Alert
from analytics.models.notification_target import NotificationTarget

logger = logging.getLogger(__name__)

_TIMEOUT = 5.0


def watch() -> None:
    """Raise triggered alerts and deliver waiting ones.

    Reads the database: not for the event loop.
    """
    for alert in (*alerts_raise(), *budget_alerts_raise()):
        logger.warning("Alert: %s", alert.text)
    for alert in alerts_waiting():
        alert_record_attempt(alert, "; ".join(deliver(alert.target, alert.text, _message(alert))))


def deliver(target: NotificationTarget, text: str, message: dict[str, Any]) -> Iterable[str]:
    """Send ``message`` to the webhook and ``text`` to the recipients.

    Returns the errors, at most one per channel.
    """
    errors = []
    if target.webhook:
        errors.append(_post(target.webhook, message))
    if target.recipients:
        errors.append(_mail(target.recipients, text))
    return [error for error in errors if error]


def _message(alert: Alert) -> dict[str, Any]:
    return {
        "text": chat_text(alert.text),
        "alert": alert.source,
        "value": float(alert.value),
        **_watched_limit(alert),
        "period_start": alert.period_start.isoformat(),
        "raised_at": alert.raised_at.isoformat(),
        "id": alert.pk,
    }


def _watched_limit(alert: Alert) -> dict[str, Any]:
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
    return {"metric": rule.metric, **subject, "limit": float(rule.limit), "period": rule.period}


def _post(url: str, message: dict[str, Any]) -> str:
    try:
        response = httpx.post(url, json=message, timeout=_TIMEOUT, follow_redirects=False)
    except httpx.HTTPError as error:
        return f"webhook: {type(error).__name__}"
    return "" if response.is_success else f"webhook: HTTP {response.status_code}"


def _mail(recipients: list[str], text: str) -> str:
    if settings.EMAIL_BACKEND.endswith("dummy.EmailBackend"):
        return "e-mail: EMAIL_URL is not set"
    try:
        send_mail(f"[AI Cost Optimizer] {mail_subject(text)}", printable(text), None, recipients)
    except (OSError, ValueError) as error:  # of smtplib, of the network; a header that is refused
        return f"e-mail: {type(error).__name__}"
    return ""
