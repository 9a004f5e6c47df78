"""The admin's alerts: what is watched, and what was raised."""

from __future__ import annotations

from django.contrib import admin
from django.db import models

from analytics.admin.history import ReadOnlyAdmin
from analytics.models import Alert, AlertRule


@admin.register(AlertRule)
class AlertRuleAdmin(admin.ModelAdmin):
    list_display = ("name", "enabled", "metric", "limit", "period", "user", "tag", "emails")
    list_filter = ("enabled", "metric", "period")
    formfield_overrides = {models.URLField: {"assume_scheme": "https"}}
    fieldsets = (
        (None, {"fields": ("name", "enabled")}),
        ("When", {"fields": ("metric", "limit", "period", "user", "tag")}),
        ("Who is told, once a period", {"fields": ("webhook", "emails")}),
    )


@admin.register(Alert)
class AlertAdmin(ReadOnlyAdmin):
    list_display = ("raised_at", "source", "text", "delivered_at", "attempts", "error")
    list_filter = ("rule",)
    list_select_related = ("rule", "usage__account__budget")
    fields = ("raised_at", "source", "text", "value", "delivered_at", "attempts", "error")
