"""The admin: its title, and the pages that Django looks for here."""

from __future__ import annotations

from django.contrib import admin

from analytics import (
    alert_admin,
    answer_admin,
    comparison_admin,
    key_admin,
    request_admin,
    totals_admin,
)

__all__ = [
    "alert_admin", "answer_admin", "comparison_admin", "key_admin", "request_admin",
    "totals_admin",
]  # fmt: skip

admin.site.site_header = "AI Cost Optimizer"
admin.site.site_title = "AI Cost Optimizer"
admin.site.site_url = "/docs"
admin.site.index_title = "Decisions, costs and savings"
