"""The Django admin: site titles and the registered pages."""

from __future__ import annotations

from django.contrib import admin

from analytics.admin import (
    alerts,
    answers,
    budgets,
    comparisons,
    deferred,
    invoices,
    requests,
    sessions,
    totals,
)

__all__ = [
    "alerts",
    "answers",
    "budgets",
    "comparisons",
    "deferred",
    "invoices",
    "requests",
    "sessions",
    "totals",
]

admin.site.site_header = "AI Cost Optimizer"
admin.site.site_title = "AI Cost Optimizer"
admin.site.site_url = "/docs"
admin.site.index_title = "Decisions, costs and savings"
