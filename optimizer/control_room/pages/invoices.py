"""The page "Invoices": the ledger beside what providers state, and the proof of its rows."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.http import urlencode

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
    """Show the month's statements beside the ledger, or the last thirty days.

    A script loads each provider's; with ``whole`` in the query they are in the page itself.
    """
    form, since, until = _asked(request)
    month = form.cleaned_data["month"] if form.is_valid() else ""
    period = {"month": month} if month else {}
    context: dict[str, Any] = {
        **admin.site.each_context(request),
        "title": "Invoices",
        "form": form,
        "since": since,
        "until": until,
        "headings": HEADINGS,
        "statements": [
            (
                name,
                urlencode({**period, "provider": name}),
                _reconciled(name, since, until) if "whole" in request.GET else None,
            )
            for name in stated_providers(since, until)
        ],
        "whole": urlencode({**period, "whole": 1}),
        "root": LedgerDay.objects.last(),
    }
    return TemplateResponse(request, "admin/invoices.html", context)


def invoice_view(request: HttpRequest) -> HttpResponse:
    """Return one provider's statement beside the ledger: it reads every call of the period."""
    _, since, until = _asked(request)
    result = _reconciled(request.GET.get("provider", ""), since, until)
    if result is None:
        raise Http404
    context = {"result": result, "headings": HEADINGS}
    return TemplateResponse(request, "admin/invoice.html", context)


def _asked(request: HttpRequest) -> tuple[InvoiceForm, date, date]:
    """Return the form, and the days that it asks about. Raises ``PermissionDenied``."""
    if not request.user.has_perm("analytics.view_providerstatementline"):  # type: ignore[union-attr]
        raise PermissionDenied
    form = InvoiceForm(request.GET if "month" in request.GET else None)
    if form.is_valid():
        since, until = (moment.date() for moment in month_of(form.cleaned_data["month"]))
        return form, since, until
    today = datetime.now(UTC).date()
    return form, today - timedelta(days=30), today + timedelta(days=1)


def _reconciled(provider: str, since: date, until: date) -> dict[str, Any] | None:
    result = reconcile(provider, since, until, settings.RECONCILE_KEYS)
    return None if result is None else _shown(result)


def _shown(result: Reconciliation) -> dict[str, Any]:
    differing = [cell for cell in result.cells if cell.remainder or cell.causes]
    return {
        "provider": result.provider,
        "lines": summary_lines(result),
        "rows": [cell_row(cell) for cell in differing[:_MOST_ROWS]],
        "more": max(len(differing) - _MOST_ROWS, 0),
    }
