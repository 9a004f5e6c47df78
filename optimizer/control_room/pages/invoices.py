"""The page "Invoices": the ledger beside what providers state, and the proof of its rows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from analytics.models import LedgerDay
from analytics.reconciliation.matching import Reconciliation, reconcile
from analytics.reconciliation.stored_lines import stated_providers
from analytics.reports.statement import month_of
from optimizer.control_room.pages.period import MonthField
from optimizer.presentation.reconciliation import HEADINGS, cell_row, summary_lines

_MOST_ROWS = 500


class InvoiceForm(forms.Form):
    """The month to reconcile."""

    month = MonthField()


def invoices_page(request: HttpRequest) -> HttpResponse:
    """Show the month's statements beside the ledger, or the last thirty days."""
    if not request.user.has_perm("analytics.view_providerstatementline"):  # type: ignore[union-attr]
        raise PermissionDenied
    form = InvoiceForm(request.GET if "month" in request.GET else None)
    today = datetime.now(UTC).date()
    since, until = today - timedelta(days=30), today + timedelta(days=1)
    if form.is_bound and form.is_valid():
        since, until = (moment.date() for moment in month_of(form.cleaned_data["month"]))
    names = stated_providers(since, until)
    results = [reconcile(name, since, until, settings.RECONCILE_KEYS) for name in names]
    context: dict[str, Any] = {
        **admin.site.each_context(request),
        "title": "Invoices",
        "form": form,
        "since": since,
        "until": until,
        "headings": HEADINGS,
        "results": [_shown(result) for result in results if result is not None],
        "root": LedgerDay.objects.last(),
    }
    return TemplateResponse(request, "admin/invoices.html", context)


def _shown(result: Reconciliation) -> dict[str, Any]:
    differing = [cell for cell in result.cells if cell.remainder or cell.causes]
    return {
        "provider": result.provider,
        "lines": summary_lines(result),
        "rows": [cell_row(cell) for cell in differing[:_MOST_ROWS]],
        "more": max(len(differing) - _MOST_ROWS, 0),
    }
