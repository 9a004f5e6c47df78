"""The page "Cost by tool": what the answers that called each tool cost."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from analytics.database.replicas import reading_elsewhere
from analytics.reports.breakdown import breakdown
from optimizer.control_room.pages.period import PERIODS, ReportPeriod

_MOST_TOOLS = 200


@reading_elsewhere()
def tools_page(request: HttpRequest) -> HttpResponse:
    """Show the tools of a period, the dearest first."""
    if not request.user.has_perm("analytics.view_agentsession"):  # type: ignore[union-attr]
        raise PermissionDenied
    period = ReportPeriod.from_query(request.GET)
    rows = breakdown("tool", period.since, period.until, most=_MOST_TOOLS)
    context: dict[str, Any] = {
        **admin.site.each_context(request),
        "title": "Cost by tool",
        "period": period,
        "periods": PERIODS,
        "tools": [{**row, "average": row["cost"] / max(row["requests"], 1)} for row in rows],
    }
    return TemplateResponse(request, "admin/tools.html", context)
