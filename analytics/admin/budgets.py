"""The admin's budgets: how they stand, what is held, and what was lost with a worker."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db import models
from django.db.models import QuerySet
from django.forms import Script
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.html import format_html

from analytics.access.versioned_rows import save_followed
from analytics.admin.history import ReadOnlyAdmin
from analytics.budgets.burn_down import burn_downs
from analytics.budgets.opening import budget_open
from analytics.budgets.report import AccountStanding, standings
from analytics.budgets.workers import holds_release
from analytics.database.large_tables import CappedPaginator
from analytics.models import Budget, BudgetHold
from analytics.money import dollars

_COUNTED = ("scope", "subject", "period", "rolling_minutes", "time_zone")


@admin.register(Budget)
class BudgetAdmin(admin.ModelAdmin):
    """Budgets are switched off, not deleted: what they counted is history."""

    list_display = ("name", "enabled", "of_whom", "how_often", "amount", "at_limit", "stands")
    list_filter = ("enabled", "scope", "period", "at_limit")
    list_per_page = 25
    search_fields = ("name", "subject")
    formfield_overrides = {models.URLField: {"assume_scheme": "https"}}
    fieldsets = (
        (None, {"fields": ("name", "enabled")}),
        ("What it counts, for good", {"fields": _COUNTED}),
        ("How much", {"fields": ("limit", "at_limit", "soft_limit")}),
        ("Who is told at the soft limit, once a period", {"fields": ("webhook", "emails")}),
    )

    class Media:
        js = ("chartjs/chart.js", Script("analytics/burn_down.js", type="module"))

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        now = (("How it stands", {"fields": ("standing",)}),) if obj is not None else ()
        return (*now, *self.fieldsets)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return (*_COUNTED, "standing") if obj is not None else ()

    def save_model(self, request: HttpRequest, obj: Budget, form: Any, change: bool) -> None:
        if change:
            save_followed(obj)
        else:
            budget_open(obj)

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """With how the budgets of the page stand, read at once."""
        changes = super().get_changelist_instance(request)
        first = {found.budget: found for found in standings(changes.result_list, most=1)}
        for budget in changes.result_list:
            budget.first = first.get(budget)
        return changes

    @admin.display(description="limit")
    def amount(self, budget: Budget) -> str:
        return "soft only" if budget.limit is None else dollars(budget.limit)

    @admin.display(description="stands at")
    def stands(self, budget: Any) -> str:
        found: AccountStanding | None = budget.first
        if found is None:
            return "–"
        whose = f"{found.subject}: " if budget.each else ""
        return format_html(
            '<meter min="0" max="100" high="80" optimum="0" value="{}">{} %</meter> {}{}',
            found.used_percent, found.used_percent, whose, dollars(found.spent),
        )  # fmt: skip

    @admin.display(description="now")
    def standing(self, budget: Budget) -> str:
        now = timezone.now()
        found = standings([budget], most=20, now=now)
        shown = {"budget": budget, "standings": found, "plots": burn_downs(found, now)}
        return render_to_string("admin/analytics/budget_standing.html", shown)


@admin.register(BudgetHold)
class BudgetHoldAdmin(ReadOnlyAdmin):
    """What requests under way may still cost, and what dead workers left behind."""

    list_display = ("made_at", "request_id", "account", "model", "amount", "worker", "lost_at")
    list_filter = (("lost_at", admin.EmptyFieldListFilter), "account__budget")
    list_select_related = ("account__budget",)
    paginator = CappedPaginator
    show_full_result_count = False
    actions = ("release_lost",)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return admin.ModelAdmin.has_change_permission(self, request, obj) and obj is None

    @admin.action(description="Give back what was lost", permissions=["change"])
    def release_lost(self, request: HttpRequest, queryset: QuerySet[BudgetHold]) -> None:
        lost = list(queryset.filter(lost_at__isnull=False))
        for held in lost:
            self.log_change(request, held, f"gave back {held}")
        count = holds_release(lost)
        self.message_user(
            request,
            f"{count} given back. What belongs to requests under way stays held.",
            messages.SUCCESS if count else messages.WARNING,
        )
