"""Base classes of admin lists of any length: read, filtered and exported, never edited."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any, ClassVar, cast

from django.contrib import admin
from django.db.models import Exists, Q, QuerySet
from django.http import HttpRequest, HttpResponseBase
from django.urls import path, reverse

from analytics.access.prompt_rights import may_view_prompts
from analytics.admin.plain_values import PlainValuesMixin
from analytics.admin.prompt_access import PromptAccessMixin, visible
from analytics.database.large_tables import COUNTED_ROWS, CappedPaginator
from analytics.exports.csv import csv_response
from analytics.ledger.daily_totals import known_values
from analytics.models import CachedResponse, RequestRecord
from analytics.models.requests import RequestQuerySet
from analytics.reports.tags import tagged
from analytics.reports.unpriced import without_price
from analytics.request_ids import request_id_in

NOT_STORED = "(not stored)"
MOST_SEARCHED = 25_000
"""The most prompts that a search reads. Those of a million rows would take seconds."""
_FEW = 500
_FAILURES_READ = 500
"""The latest failures whose codes are offered."""


class _ValueFilter(admin.SimpleListFilter):
    """Filters by the column named like the parameter, with the value from the URL."""

    parameter_name: str

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        return self.filter_by(queryset, value) if value else queryset

    def filter_by(self, queryset: QuerySet[Any], value: str) -> QuerySet[Any]:
        return queryset.filter(**{self.parameter_name: value})


class _KnownValuesFilter(_ValueFilter):
    """Offers values from the daily totals: a DISTINCT over the ledger would read all of it."""

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(value, value) for value in known_values(self.parameter_name)]


class ProviderFilter(_KnownValuesFilter):
    """Filters by provider."""

    title = parameter_name = "provider"


class ModelFilter(_KnownValuesFilter):
    """Filters by model."""

    title = parameter_name = "model"


class _UrlValueFilter(_ValueFilter):
    """Offers only the value in the URL, so that it can be removed; there are too many to list."""

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        value = self.value()
        return [(value, value)] if value else []


class UserFilter(_UrlValueFilter):
    """Filters by user."""

    title = "user"
    parameter_name = "user_id"


class TagFilter(_UrlValueFilter):
    """Filters by tag."""

    title = parameter_name = "tag"

    def filter_by(self, queryset: QuerySet[Any], value: str) -> QuerySet[Any]:
        """Return the rows that carry the tag."""
        return tagged(queryset, value)  # type: ignore[no-any-return]


class UnpricedFilter(admin.SimpleListFilter):
    """Offers the decisions whose answers have no price, so that no savings are counted."""

    title = "price"
    parameter_name = "unpriced"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the only choice beside all."""
        return [("1", "not known")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Return the decisions that were answered and have no savings."""
        return without_price(queryset) if self.value() == "1" else queryset


class ErrorFilter(_ValueFilter):
    """Filters by the code of an error, among those of the latest failures and refusals."""

    title, parameter_name = "error", "error_code"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the codes of the latest failures, and the one in the URL."""
        codes: set[str] = {self.value() or ""}
        for status in (RequestRecord.Status.ERROR, RequestRecord.Status.REFUSED):
            # An index has them in this order, so that only so many rows are read.
            failed = RequestRecord.objects.not_ok().filter(status=status).order_by("-created_at")
            codes |= set(failed.values_list("error_code", flat=True)[:_FAILURES_READ])
        return [(code, code) for code in sorted(codes) if code]

    def filter_by(self, queryset: QuerySet[Any], value: str) -> QuerySet[Any]:
        """Return the rows that failed with this code; the status leads to them by index."""
        others = [status for status in RequestRecord.Status if status != RequestRecord.Status.OK]
        failed = cast(RequestQuerySet, queryset).not_ok()
        return failed.filter(status__in=others, error_code=value)


def _time_of(rows: QuerySet[Any], number: int) -> datetime | None:
    """Return the time of the row that comes after the latest ``number``, if there is one."""
    times = rows.order_by("-created_at").values_list("created_at", flat=True)
    return next(iter(times[number : number + 1]), None)


class ReadOnlyAdmin(admin.ModelAdmin):
    """Rows that cannot be added, changed or deleted in the admin."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Return false."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return false."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return false."""
        return False


class HistoryAdmin(PlainValuesMixin, PromptAccessMixin, ReadOnlyAdmin):
    """A list of any length that can be read, filtered and exported, but not edited."""

    paginator = CappedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    list_per_page = 50
    date_hierarchy = "created_at"
    ordering = ("-created_at",)
    sortable_by: ClassVar[tuple[str, ...]] = ("created_at",)
    search_fields: ClassVar[tuple[str, ...]] = ("id",)  # get_search_results does the work
    change_list_template = "admin/analytics/large_change_list.html"
    csv_columns: tuple[str, ...] = ()
    id_fields: ClassVar[tuple[str, ...]] = ()
    """Indexed columns with ids of clients and providers."""
    prompt_field = "prompt"
    actions: Any = ("export_selected",)

    def prompt_of(self, row: Any) -> str:
        """Return the prompt of a row; empty if prompts are not stored."""
        return row.prompt

    @admin.display(description="prompt")
    def prompt_start(self, row: Any) -> str:
        """Return the first 60 characters of the prompt."""
        return self.prompt_of(row)[:60] or NOT_STORED

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Look up an id or a cache key by index; search the prompts for anything else.

        An id is ours, with what our APIs put before it, or one that the client or the provider
        sent: of a session, a user or an answer. A user who may not see prompts finds ids only.
        Prompts have no index: those of the latest :data:`MOST_SEARCHED` rows are searched, among
        the rows that the filters leave, and the list says since when.
        """
        term = search_term.strip()
        if not term:
            return queryset, False
        if (request_id := request_id_in(term)) is not None:
            return self._by_id(queryset, request_id), False
        if (rows := self._by_sent_id(queryset, term)) is not None:
            return rows, False
        if not may_view_prompts(request):
            return queryset.none(), False
        if len(term) == 64 and all(digit in "0123456789abcdef" for digit in term):
            return self._by_cache_key(queryset, term), False
        if since := _time_of(queryset, MOST_SEARCHED):
            request.searched_since = since  # type: ignore[attr-defined]
            queryset = queryset.filter(created_at__gt=since)
        return self._with_words(queryset, term), False

    def _with_words(self, queryset: QuerySet[Any], term: str) -> QuerySet[Any]:
        """Return the rows whose prompts hold ``term``.

        Few of them are looked for once, as the list is counted before it is read.
        """
        rows = queryset.filter(**{f"{self.prompt_field}__icontains": term})
        keys = list(rows.order_by().values_list("pk", flat=True)[: _FEW + 1])
        return rows if len(keys) > _FEW else queryset.filter(pk__in=keys)

    def _by_sent_id(self, queryset: QuerySet[Any], term: str) -> QuerySet[Any] | None:
        """Return the rows with an id of clients or providers; ``None`` without any."""
        by_column = [queryset.filter(**{column: term}) for column in self.id_fields]
        # One query asks for all kinds of ids.
        known = self.model._default_manager.order_by().values_list(*map(Exists, by_column))[:1]
        for exist in known if by_column else ():
            matches = zip(by_column, exist, strict=True)
            return next((rows for rows, there in matches if there), None)
        return None

    def _by_id(self, queryset: QuerySet[Any], request_id: uuid.UUID) -> QuerySet[Any]:
        return queryset.filter(pk=request_id)

    def _by_cache_key(self, queryset: QuerySet[Any], key: str) -> QuerySet[Any]:
        """Return the rows of requests with this cache key.

        Cache hits, and the request that the cached answer was made for, may have any age. Other
        requests are looked for among the latest :data:`MOST_SEARCHED`, because only hits have an
        index of cache keys.
        """
        requests = RequestRecord.objects.all()
        others = requests.filter(cache_key=key, cache_hit=False)
        if since := _time_of(requests, MOST_SEARCHED):
            others = others.filter(created_at__gt=since)
        pks = set(others.values_list("pk", flat=True)[:_FEW])
        if (entry := CachedResponse.objects.filter(cache_key=key).first()) is not None:
            pks.update(requests.source_of(entry).values_list("pk", flat=True))
        hits = requests.filter(cache_key=key, cache_hit=True).values("pk")
        return queryset.filter(Q(pk__in=pks) | Q(pk__in=hits))

    def get_urls(self) -> list[Any]:
        """Return the admin's URLs with that of the CSV export."""
        name = f"{self.opts.app_label}_{self.opts.model_name}_export"
        export = path("export/", self.admin_site.admin_view(self.export_view), name=name)
        return [export, *super().get_urls()]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> Any:
        """Render the list with a link to the CSV export."""
        context = {
            "export_url": reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_export"),
            "counted_rows": COUNTED_ROWS,
            "most_searched": MOST_SEARCHED,
            **(extra_context or {}),
        }
        return super().changelist_view(request, context)

    def export_view(self, request: HttpRequest) -> HttpResponseBase:
        """Return all rows of the list as it is filtered now, as CSV."""
        rows = self.get_changelist_instance(request).get_queryset(request)
        columns = visible(request, self.csv_columns)
        return csv_response(rows, columns, f"{self.opts.db_table}.csv")

    @admin.action(description="Export selected rows as CSV")
    def export_selected(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponseBase:
        """Return the selected rows as CSV."""
        columns = visible(request, self.csv_columns)
        return csv_response(queryset, columns, f"{self.opts.db_table}.csv")
