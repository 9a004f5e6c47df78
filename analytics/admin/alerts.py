"""Admin pages of alert rules, raised alerts, channels, digests and notifications."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin
from django.db import models
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from analytics.admin.fields import LabelledDateTime
from analytics.admin.history import ReadOnlyAdmin
from analytics.admin.secret_address import ChannelForm, MaskedAddressMixin, NotifyingForm
from analytics.alerts.notice import Notice
from analytics.alerts.outbox import undelivered
from analytics.models import (
    Alert,
    AlertRule,
    Digest,
    DigestIssue,
    Notification,
    NotificationChannel,
)
from analytics.models.alerts import FILTERS

_PLACES = ("channels", "emails", "webhook")


@admin.register(AlertRule)
class AlertRuleAdmin(MaskedAddressMixin, admin.ModelAdmin):
    """Lists and edits alert rules."""

    form = NotifyingForm
    list_display = ("name", "enabled", "metric", "limit", "filtered", "last_text", "muted_until")
    list_filter = ("enabled", "metric", "period")
    formfield_overrides = {
        models.ManyToManyField: {"widget": forms.CheckboxSelectMultiple},
        models.DateTimeField: {
            "form_class": forms.SplitDateTimeField,
            "widget": LabelledDateTime("Muted until"),
        },
    }
    fieldsets = (
        (None, {"fields": ("name", "enabled")}),
        ("When", {"fields": ("metric", "limit", "period", "window_minutes")}),
        (
            "Only these requests",
            {
                "fields": FILTERS,
                "classes": ("collapse",),
                "description": "Empty: all. Spending takes one of them; failed requests and "
                "latency take any.",
            },
        ),
        ("Notify", {"fields": (*_PLACES, "notify_resolved", "muted_until")}),
    )

    @admin.display(description="only")
    def filtered(self, rule: AlertRule) -> str:
        """Return the filters."""
        return rule.filter_text.removeprefix(" of ") or "–"


@admin.register(NotificationChannel)
class NotificationChannelAdmin(MaskedAddressMixin, admin.ModelAdmin):
    """Lists and edits the channels that alerts, budgets and digests are sent to."""

    form = ChannelForm
    hidden_field = "address"
    list_display = ("name", "enabled", "kind", "place")
    list_filter = ("enabled", "kind")
    fields = ("name", "enabled", "kind", "address", "emails")

    @admin.display(description="goes to")
    def place(self, channel: NotificationChannel) -> str:
        """Return the mailboxes, or the masked address."""
        return channel.shown_address


@admin.register(Digest)
class DigestAdmin(MaskedAddressMixin, admin.ModelAdmin):
    """Lists and edits digests."""

    form = NotifyingForm
    list_display = ("name", "enabled", "period", "about", "time_zone", "hour")
    list_filter = ("enabled", "period", "scope")
    formfield_overrides = {models.ManyToManyField: {"widget": forms.CheckboxSelectMultiple}}
    fieldsets = (
        (None, {"fields": ("name", "enabled")}),
        ("What it sums up", {"fields": ("period", "scope", "subject")}),
        ("When it is sent", {"fields": ("hour", "time_zone")}),
        ("To whom", {"fields": _PLACES}),
    )

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """Return what a new digest begins with: the installation's time zone."""
        return {
            "time_zone": settings.REPORT_TIME_ZONE,
            **super().get_changeform_initial_data(request),
        }


class StateFilter(admin.SimpleListFilter):
    """Offers the alerts that are not over."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the choices beside all."""
        return [("firing", "firing"), ("over", "over")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Alert]) -> QuerySet[Alert]:
        """Return the alerts in the chosen state."""
        if self.value() is None:
            return queryset
        return queryset.filter(resolved_at__isnull=self.value() == "firing")


@admin.register(Alert)
class AlertAdmin(ReadOnlyAdmin):
    """Lists the alerts that were raised, and when each was over."""

    list_display = ("raised_at", "source", "text", "resolved_at")
    list_filter = (StateFilter, "rule")
    list_select_related = ("rule", "usage__account__budget")
    fields = ("raised_at", "source", "text", "value", "resolved_at", "end_text")


class UndeliveredFilter(admin.SimpleListFilter):
    """Offers the notifications whose delivery failed."""

    title = "delivery"
    parameter_name = "undelivered"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the only choice beside all."""
        return [("1", "failed")]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[Notification]
    ) -> QuerySet[Notification]:
        """Return the notifications that could not be delivered until now."""
        return queryset.filter(undelivered()) if self.value() == "1" else queryset


@admin.register(Notification)
class NotificationAdmin(ReadOnlyAdmin):
    """Lists what was sent to whom, and what could not be delivered."""

    list_display = ("created_at", "event", "about", "place", "delivered_at", "attempts", "error")
    list_filter = (UndeliveredFilter, "event", "channel")
    list_select_related = ("channel", "alert", "issue__digest")
    fields = ("created_at", "event", "about", "place", "due_at", "attempts", "error",
              "delivered_at")  # fmt: skip

    @admin.display(description="about")
    def about(self, row: Notification) -> str:
        """Return the alert or the digest that it is about."""
        return str(row.issue or row.alert)


@admin.register(DigestIssue)
class DigestIssueAdmin(ReadOnlyAdmin):
    """Lists the digests that were made."""

    list_display = ("made_at", "digest", "period_start")
    list_select_related = ("digest",)
    fields = ("made_at", "digest", "period_start", "summary")

    @admin.display(description="content")
    def summary(self, issue: DigestIssue) -> SafeString:
        """Return what was sent, line by line."""
        if not issue.content:
            return SafeString("–")
        notice = Notice.from_json(issue.content)
        lines = [notice.title, notice.text, *(f"{name}: {value}" for name, value in notice.facts)]
        for section in notice.sections:
            lines += [section.heading, *section.lines]
        return format_html_join("", "{}<br>", ((line,) for line in lines if line))
