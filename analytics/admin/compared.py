"""Admin pages whose savings are compared with the baseline that the user picked."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest

from analytics.models import RequestRecord
from analytics.money_shown import shown_dollars
from analytics.reports.compared import PARAMETER, ComparedWith, saved
from analytics.reports.figures import Figures


def compared_with(site: admin.AdminSite, request: HttpRequest) -> ComparedWith | None:
    """Return the baseline that the page's address, or the user's last choice, names.

    ``None`` means the recorded one, on a site that offers no other.
    """
    choose = getattr(site, "compared_with", None)
    return None if choose is None else choose(request)


class ComparedChangeList(ChangeList):
    """A list whose address may name a baseline, which is no filter."""

    model_admin: ComparedAdmin

    def get_filters_params(self, params: Any = None) -> dict[str, Any]:
        """Return the parameters that filter the list."""
        chosen: dict[str, Any] = super().get_filters_params(params)
        chosen.pop(PARAMETER, None)
        return chosen

    def get_ordering_field(self, field_name: Any) -> Any:
        """Return the order of a column; ``None`` for one that the list does not offer to sort by.

        Such a column may have no index that has the rows in its order.
        """
        offered = self.sortable_by or ()
        return super().get_ordering_field(field_name) if field_name in offered else None

    def get_results(self, request: HttpRequest) -> None:
        """Read the rows of the page, each with its comparison."""
        super().get_results(request)
        self.result_list: Any = list(self.result_list)
        self.model_admin.compare(request, self.result_list)


class ComparedAdmin(admin.ModelAdmin):
    """A table of rows that saved something; pages of it have the picker of baselines."""

    def requests_of(self, rows: Sequence[Any]) -> tuple[QuerySet[RequestRecord], Any, Any]:
        """Return the requests behind ``rows``, and the expressions that group them by row."""
        return RequestRecord.objects.filter(pk__in=[row.pk for row in rows]), None, None

    def key_of(self, row: Any) -> tuple[Any, Any]:
        """Return the group of the row's requests: the values of both expressions."""
        return None, row.pk

    def compare(self, request: HttpRequest, rows: Sequence[Any]) -> None:
        """Give each row the figures of its comparison as ``compared``; none: the recorded ones."""
        compared = compared_with(self.admin_site, request)
        if compared is None or compared.baseline is None or not rows:
            return
        requests, by, at = self.requests_of(rows)
        figures = compared.figures(requests, by, at)
        for row in rows:
            row.compared = figures.get(self.key_of(row))

    def get_object(self, request: HttpRequest, object_id: str, from_field: Any = None) -> Any:
        """Return a row with its comparison."""
        row = super().get_object(request, object_id, from_field)
        if row is not None:
            self.compare(request, [row])
        return row

    def get_changelist(self, request: HttpRequest, **options: Any) -> type[ChangeList]:
        """Return the list whose address may name a baseline."""
        return ComparedChangeList

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> Any:
        """Render the list with the picker."""
        compared = compared_with(self.admin_site, request)
        return super().changelist_view(request, {**(extra_context or {}), "compared": compared})

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        """Render the row with the picker."""
        compared = compared_with(self.admin_site, request)
        context = {**(extra_context or {}), "compared": compared}
        return super().change_view(request, object_id, form_url, context)


def comparison_of(row: Any, recorded: Figures) -> Figures | None:
    """Return the figures of the picked baseline, else the recorded ones; or ``None``."""
    figures: Figures | None = getattr(row, "compared", recorded)
    return figures


def saved_text(row: Any, recorded: Decimal | None) -> str:
    """Return what a row saved against the picked baseline, else the recorded amount, as USD."""
    return shown_dollars(saved(row.compared) if hasattr(row, "compared") else recorded)
