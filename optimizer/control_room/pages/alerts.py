"""The page "Alerts": states, history, mute and test of alerts, channels and digests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.decorators import permission_required
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django.views.decorators.http import require_POST

from analytics.alerts.overview import alerts_overview
from analytics.alerts.raising import rule_mute
from analytics.models import AlertRule, Digest, NotificationChannel
from optimizer.monitoring.alerts import channel_send_test, rule_test

MUTES = {"1": "1 hour", "8": "8 hours", "24": "1 day", "168": "1 week"}
"""For how many hours an alert can be muted here; its form takes any time."""
_STARTERS = (
    ("Unusual spend", "metric=unusual&limit=1&name=Unusual+spend"),
    ("Failed requests", "metric=errors&limit=5&name=Failed+requests"),
    ("Circuit open", "metric=circuit&limit=0&name=Circuit+open"),
    ("Budgets", "metric=budget&limit=50&name=Budgets"),
    ("Forecast", "metric=forecast&limit=1000&name=Forecast+of+the+month"),
    ("Guarantee", "metric=guarantee&limit=0&name=Guarantee"),
    ("Quality", "metric=quality&limit=0.02&period=month&name=Quality"),
)
"""Alerts that most installations want, as the beginnings of the form."""


@permission_required("analytics.view_alertrule", raise_exception=True)
def alerts_page(request: HttpRequest) -> HttpResponse:
    """Show what is watched and its state."""
    now = datetime.now(UTC)
    user: Any = request.user
    context: dict[str, Any] = {
        **admin.site.each_context(request),
        "title": "Alerts",
        "overview": alerts_overview(now),
        "mutes": MUTES,
        "starters": _STARTERS,
        "may_change": user.has_perm("analytics.change_alertrule"),
        "may_add": user.has_perm("analytics.add_alertrule"),
    }
    return TemplateResponse(request, "admin/alerts.html", context)


@require_POST
@permission_required("analytics.change_alertrule", raise_exception=True)
def alert_test_view(request: HttpRequest, number: int) -> HttpResponse:
    """Send a test to everybody whom the alert notifies."""
    rule = get_object_or_404(AlertRule, pk=number)
    return _tested(request, rule.name, rule_test(rule))


@require_POST
@permission_required("analytics.change_alertrule", raise_exception=True)
def alert_mute_view(request: HttpRequest, number: int) -> HttpResponse:
    """Mute the alert for some hours; without hours, end the mute."""
    rule = get_object_or_404(AlertRule, pk=number)
    hours = request.POST.get("hours", "")
    if hours in MUTES:
        rule_mute(rule, datetime.now(UTC) + timedelta(hours=int(hours)))
        messages.success(request, f"{rule.name} is muted for {MUTES[hours]}.")
    elif hours:
        messages.error(request, "Choose for how long.")
    else:
        rule_mute(rule, None)
        messages.success(request, f"{rule.name} is no longer muted.")
    return _back()


@require_POST
@permission_required("analytics.change_notificationchannel", raise_exception=True)
def channel_test_view(request: HttpRequest, number: int) -> HttpResponse:
    """Send a test to a channel."""
    channel = get_object_or_404(NotificationChannel, pk=number)
    return _tested(request, channel.name, channel_send_test(channel))


@require_POST
@permission_required("analytics.change_digest", raise_exception=True)
def digest_test_view(request: HttpRequest, number: int) -> HttpResponse:
    """Send a test to everybody who gets the digest."""
    digest = get_object_or_404(Digest, pk=number)
    return _tested(request, digest.name, rule_test(digest))


def _tested(request: HttpRequest, name: str, errors: list[str]) -> HttpResponse:
    if errors:
        messages.error(request, f"The test of {name} failed: {'; '.join(errors)}.")
    else:
        messages.success(request, f"The test of {name} was sent.")
    return _back()


def _back() -> HttpResponse:
    return HttpResponseRedirect(reverse("admin:alerts"))
