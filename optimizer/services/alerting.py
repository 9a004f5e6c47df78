"""Telling people: a webhook, an e-mail, or both; until it has arrived."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

import httpx
from django.conf import settings
from django.core.mail import send_mail

from analytics.alerts import alert_settle, alerts_raise, alerts_waiting
from analytics.models import Alert, AlertRule

logger = logging.getLogger(__name__)

_TIMEOUT = 5.0


def watch() -> None:
    """Raise what is passed, deliver what waits. Reads the database: not for the event loop."""
    for alert in alerts_raise():
        logger.warning("Alert: %s", alert.text)
    for alert in alerts_waiting():
        alert_settle(alert, "; ".join(deliver(alert.rule, alert.text, _told(alert))))


def deliver(rule: AlertRule, text: str, told: dict[str, Any]) -> Iterable[str]:
    """Tell everybody whom the rule names; what went wrong, one a channel."""
    errors = []
    if rule.webhook:
        errors.append(_post(rule.webhook, told))
    if rule.recipients:
        errors.append(_mail(rule.recipients, text))
    return [error for error in errors if error]


def _told(alert: Alert) -> dict[str, Any]:
    return {
        "text": alert.text,
        "alert": alert.rule.name,
        "metric": alert.rule.metric,
        "value": float(alert.value),
        "limit": float(alert.rule.limit),
        "period": alert.rule.period,
        "period_start": alert.period_start.isoformat(),
        "raised_at": alert.raised_at.isoformat(),
        "id": alert.pk,
    }


def _post(url: str, told: dict[str, Any]) -> str:
    try:
        response = httpx.post(url, json=told, timeout=_TIMEOUT, follow_redirects=False)
    except httpx.HTTPError as error:
        return f"webhook: {type(error).__name__}"
    return "" if response.is_success else f"webhook: HTTP {response.status_code}"


def _mail(recipients: list[str], text: str) -> str:
    if settings.EMAIL_BACKEND.endswith("dummy.EmailBackend"):
        return "e-mail: EMAIL_URL is not set"
    try:
        send_mail(f"[AI Cost Optimizer] {text[:120]}", text, None, recipients)
    except OSError as error:  # smtplib's errors and the network's are all of them
        return f"e-mail: {type(error).__name__}"
    return ""
