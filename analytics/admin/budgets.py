"""Admin pages of budgets and of the money held for requests."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db import models
from django.db.models import QuerySet
from django.forms import Script
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.html import format_html

from analytics.access.versioned_rows import save_versioned
from analytics.admin.history import ReadOnlyAdmin
from analytics.admin.secret_address import MaskedAddressMixin, SecretAddressForm
from analytics.budgets.burn_down import burn_downs
from analytics.budgets.opening import budget_open
from analytics.budgets.report import AccountStanding, standings
from analytics.budgets.workers import holds_release
from analytics.database.large_tables import CappedPaginator
from analytics.models import Budget, BudgetHold
from analytics.money import dollars
from analytics.money_shown import shown_dollars

_COUNTED = ("scope", "subject", "period", "rolling_minutes", "time_zone")


@admin.register(Budget)
class BudgetAdmin(MaskedAddressMixin, admin.ModelAdmin):
    """Lists and edits budgets.

    Budgets are switched off, not deleted: what they counted is history.
    """

    list_display = ("name", "enabled", "applies_to", "per", "amount", "at_limit", "used")
    list_filter = ("enabled", "scope", "period", "at_limit")
    list_per_page = 25
    search_fields = ("name", "subject")
    form = SecretAddressForm
    formfield_overrides = {models.ManyToManyField: {"widget": forms.CheckboxSelectMultiple}}
    fieldsets = (
        (None, {"fields": ("name", "enabled")}),
        ("What it counts (cannot change later)", {"fields": _COUNTED}),
        ("Limits", {"fields": ("limit", "at_limit", "soft_limit")}),
        (
            "Notify at the soft limit, once per period",
            {"fields": ("channels", "emails", "webhook")},
        ),
    )

    class Media:
        """Scripts that draw the burn-down chart."""

        js = ("chartjs/chart.js", Script("analytics/burn_down.js", type="module"))

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return false: budgets are switched off instead."""
        return False

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Return the fieldsets; an existing budget begins with its current use."""
        now = (("Current use", {"fields": ("standing",)}),) if obj is not None else ()
        return (*now, *super().get_fieldsets(request, obj))

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Return the fields that decide what an existing budget counts, as read-only."""
        fixed = (*_COUNTED, "standing") if obj is not None else ()
        return (*fixed, *super().get_readonly_fields(request, obj))

    def save_model(self, request: HttpRequest, obj: Budget, form: Any, change: bool) -> None:
        """Save a changed budget, or open a new one with what its period has cost so far."""
        if change:
            save_versioned(obj)
        else:
            budget_open(obj)

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """Return the list with the current use of its budgets, read in one go."""
        changes = super().get_changelist_instance(request)
        largest = {account.budget: account for account in standings(changes.result_list, most=1)}
        for budget in changes.result_list:
            budget.largest_account = largest.get(budget)
        return changes

    @admin.display(description="period")
    def per(self, budget: Budget) -> str:
        """Return the period as text."""
        return budget.period_text

    @admin.display(description="limit")
    def amount(self, budget: Budget) -> str:
        """Return the limit as USD."""
        return "soft only" if budget.limit is None else dollars(budget.limit)

    @admin.display(description="used")
    def used(self, budget: Any) -> str:
        """Return the use of the account that has spent most, as a meter, percent and USD."""
        account: AccountStanding | None = budget.largest_account
        if account is None:
            return "–"
        subject = f"{account.subject}: " if budget.each else ""
        return format_html(
            '<meter min="0" max="100" high="80" optimum="0" value="{}">{} %</meter> {}{}',
            account.used_percent, account.used_percent, subject, dollars(account.spent),
        )  # fmt: skip

    @admin.display(description="now")
    def standing(self, budget: Budget) -> str:
        """Return the budget's largest accounts as a table, with burn-down charts."""
        now = timezone.now()
        accounts = standings([budget], most=20, now=now)
        context = {"budget": budget, "standings": accounts, "plots": burn_downs(accounts, now)}
        return render_to_string("admin/analytics/budget_standing.html", context)


@admin.register(BudgetHold)
class BudgetHoldAdmin(ReadOnlyAdmin):
    """Lists money held for requests in progress, and holds that dead workers left behind."""

    list_display = (
        "made_at", "whom", "why", "model", "most", "likely", "account", "request_id",
    )  # fmt: skip
    list_filter = (("lost_at", admin.EmptyFieldListFilter), "account__budget", "endpoint")
    search_fields = ("=request_id", "=api_key", "=user_id", "=tenant", "=project")
    list_select_related = ("account__budget",)
    paginator = CappedPaginator
    show_full_result_count = False
    actions = ("release_lost",)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return true for the list alone, which offers the action; rows cannot be edited."""
        return admin.ModelAdmin.has_change_permission(self, request, obj) and obj is None

    @admin.display(description="for whom")
    def whom(self, held: BudgetHold) -> str:
        """Return who pays for the request, as far as they are known."""
        return held.payer_text

    @admin.display(description="why")
    def why(self, held: BudgetHold) -> str:
        """Return why the money is held."""
        return held.reason_text

    @admin.display(description="held", ordering="amount")
    def most(self, held: BudgetHold) -> str:
        """Return the most that the call may cost as USD."""
        return shown_dollars(held.amount)

    @admin.display(description="estimate", ordering="estimate")
    def likely(self, held: BudgetHold) -> str:
        """Return what the call is estimated to cost as USD."""
        return "–" if held.estimate is None else shown_dollars(held.estimate)

    @admin.action(description="Release lost holds", permissions=["change"])
    def release_lost(self, request: HttpRequest, queryset: QuerySet[BudgetHold]) -> None:
        """Give the money of the selected lost holds back to their budgets."""
        lost = list(queryset.filter(lost_at__isnull=False))
        for lost_hold in lost:
            self.log_change(request, lost_hold, f"released {lost_hold}")
        count = holds_release(lost)
        self.message_user(
            request,
            f"{count} released. Holds of requests in progress stay.",
            messages.SUCCESS if count else messages.WARNING,
        )
