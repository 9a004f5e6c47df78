"""The page "Statements": a month by team, project or key, to look at, print and send."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.decorators import permission_required
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest
from django.template.response import TemplateResponse
from django.utils.http import urlencode

from analytics.database.replicas import reading_elsewhere
from analytics.reports.breakdown import NONE
from analytics.reports.statement import last_month, statement, statements
from analytics.reports.statement_formats import as_csv, as_html, tables_of, title_of
from analytics.reports.statement_pdf import PdfMissing, as_pdf, pdf_available
from optimizer.control_room.baseline import picked_baseline
from optimizer.control_room.pages.period import MonthField

_MAY_VIEW = "analytics.view_requestrecord"
_OFFERED = ("team", "project", "key", "user", "agent", "tag")
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


class StatementForm(forms.Form):
    """Which statement: a month, by what, and of whom; without a name, of all of them."""

    month = MonthField()
    by = forms.ChoiceField(choices=[(name, name) for name in _OFFERED])
    name = forms.CharField(required=False, widget=forms.HiddenInput, max_length=512)


@permission_required(_MAY_VIEW, raise_exception=True)
@reading_elsewhere()
def statements_page(request: HttpRequest) -> HttpResponse:
    """Show the statement, with links to its parts and files."""
    given = request.GET.dict()
    values = {"month": last_month(), "by": "team", **given}
    form = StatementForm(values)
    context: dict[str, Any] = {
        **admin.site.each_context(request),
        "title": "Statements",
        "form": form,
        "pdf": pdf_available(),
        "this_month": f"{datetime.now(UTC):%Y-%m}",
    }
    if form.is_valid():
        data = form.cleaned_data
        figures = _figures(request, data)
        asked = {"month": data["month"], "by": data["by"]}
        context |= {
            "heading": title_of(figures),
            "baseline": figures["baseline"],
            "pruned": figures.get("pruned"),
            "name": data["name"],
            "all": urlencode(asked),
            "file": urlencode({**asked, **({"name": data["name"]} if data["name"] else {})}),
            "tables": _linked(figures, asked),
            "empty": not (figures["rows"] if "rows" in figures else figures["total"]["requests"]),
        }
    return TemplateResponse(request, "admin/statements.html", context)


@permission_required(_MAY_VIEW, raise_exception=True)
@reading_elsewhere()
def statement_file(request: HttpRequest) -> HttpResponse:
    """Return the statement as an HTML, CSV or PDF file."""
    form = StatementForm(request.GET.dict())
    kind = request.GET.get("format", "")
    if not form.is_valid():
        field, errors = next(iter(form.errors.items()))
        return HttpResponseBadRequest(f"{field}: {errors[0]}", content_type="text/plain")
    if kind not in _FORMATS:
        known = ", ".join(_FORMATS)
        return HttpResponseBadRequest(f"format: give one of {known}.", content_type="text/plain")
    data = form.cleaned_data
    write, content_type = _FORMATS[kind]
    try:
        content = write(_figures(request, data))
    except PdfMissing as error:
        return HttpResponse(f"PDF is not installed: {error}", status=501, content_type="text/plain")
    parts = ("statement", data["month"], data["by"], data["name"])
    name = _UNSAFE.sub("-", "-".join(part for part in parts if part))[:120]
    return HttpResponse(
        content,
        content_type=content_type,
        headers={"Content-Disposition": f'attachment; filename="{name}.{kind}"'},
    )


_FORMATS: dict[str, tuple[Any, str]] = {
    "html": (as_html, "text/html; charset=utf-8"),
    "csv": (as_csv, "text/csv; charset=utf-8"),
    "pdf": (as_pdf, "application/pdf"),
}


def _figures(request: HttpRequest, data: dict[str, Any]) -> dict[str, Any]:
    compared = picked_baseline(request)
    if data["name"]:
        return statement(data["month"], data["by"], data["name"], compared)
    return statements(data["month"], data["by"], compared)


def _linked(figures: dict[str, Any], asked: dict[str, str]) -> list[tuple[str, Any, Any]]:
    """Return the tables; each row of an overview has the address of its own statement."""
    overview = "rows" in figures
    return [
        (
            caption,
            headings,
            [
                (urlencode({**asked, "name": row[0]}) if overview and row[0] != NONE else "", row)
                for row in rows
            ],
        )
        for caption, headings, rows in tables_of(figures)
    ]
