"""Admin pages of providers' statements, settled estimates and the signed roots of days."""

from __future__ import annotations

from django.contrib import admin

from analytics.admin.history import ReadOnlyAdmin
from analytics.models import LedgerDay, ProviderStatementLine, ReconciledEstimate


@admin.register(ProviderStatementLine)
class ProviderStatementLineAdmin(ReadOnlyAdmin):
    """Lists the lines of providers' statements that were read."""

    list_display = (
        "day", "provider", "model", "item", "key", "amount", "requests", "tokens_in",
        "tokens_out", "source",
    )  # fmt: skip
    list_filter = ("provider", "source")
    date_hierarchy = "day"
    search_fields = ("model", "item", "key")


@admin.register(ReconciledEstimate)
class ReconciledEstimateAdmin(ReadOnlyAdmin):
    """Lists estimates that an invoice shows to be charged, or not."""

    list_display = ("request_id", "day", "provider", "estimate", "outcome", "reconciled_at")
    list_filter = ("outcome", "provider")


@admin.register(LedgerDay)
class LedgerDayAdmin(ReadOnlyAdmin):
    """Lists the signed roots of days."""

    list_display = ("day", "revision", "rows", "root", "made_at")
    date_hierarchy = "day"
