"""Admin pages of alert rules and raised alerts."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db import models
from django.db.models import QuerySet
from django.http import HttpRequest

from analytics.admin.history import ReadOnlyAdmin
from analytics.models import Alert, AlertRule


@admin.register(AlertRule)
class AlertRuleAdmin(admin.ModelAdmin):
    """Lists and edits alert rules."""

    list_display = ("name", "enabled", "metric", "limit", "period", "user", "tag", "emails")
    list_filter = ("enabled", "metric", "period")
    formfield_overrides = {models.URLField: {"assume_scheme": "https"}}
    fieldsets = (
        (None, {"fields": ("name", "enabled")}),
        ("When", {"fields": ("metric", "limit", "period", "user", "tag")}),
        ("Notify, once per period", {"fields": ("webhook", "emails")}),
    )


class UndeliveredFilter(admin.SimpleListFilter):
    """Offers the alerts whose delivery failed."""

    title = "delivery"
    parameter_name = "undelivered"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the only choice beside all."""
        return [("1", "failed")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Alert]) -> QuerySet[Alert]:
        """Return the alerts that could not be delivered until now."""
        if self.value() != "1":
            return queryset
        return queryset.filter(delivered_at=None).exclude(error="")


@admin.register(Alert)
class AlertAdmin(ReadOnlyAdmin):
    """Lists the alerts that were raised, and whether each was delivered."""

    list_display = ("raised_at", "source", "text", "delivered_at", "attempts", "error")
    list_filter = (UndeliveredFilter, "rule")
    list_select_related = ("rule", "usage__account__budget")
    fields = ("raised_at", "source", "text", "value", "delivered_at", "attempts", "error")
