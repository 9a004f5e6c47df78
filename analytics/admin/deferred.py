"""Admin pages of requests that are answered later, and of their batches: states, sums, cancel."""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar
from uuid import UUID

from django.contrib import admin, messages
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest

from analytics.admin.history import ReadOnlyAdmin
from analytics.database.large_tables import CappedPaginator
from analytics.deferred.requests import deferred_end
from analytics.models import DeferredRequest, ProviderBatch
from analytics.money import MoneySum
from analytics.money_shown import shown_dollars

State = DeferredRequest.State
_CANCELLED = "An operator cancelled the request."


class _LaneAdmin(ReadOnlyAdmin):
    """A long list whose rows can be cancelled by those who may change them."""

    paginator = CappedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    list_per_page = 50
    date_hierarchy = "created_at"
    ordering = ("-created_at",)
    sortable_by: ClassVar[tuple[str, ...]] = ("created_at",)

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        """Return whether the user may cancel rows."""
        return request.user.has_perm(f"analytics.change_{self.opts.model_name}")

    def _cancel(self, request: HttpRequest, rows: QuerySet[DeferredRequest]) -> None:
        cancelled = [
            row
            for row in rows.filter(state__in=DeferredRequest.OPEN).only("id")
            if deferred_end(row.pk, State.CANCELLED, "cancelled", _CANCELLED, 409)
        ]
        for row in cancelled:
            self.log_change(request, row, "cancelled")
        self.message_user(request, f"Requests cancelled: {len(cancelled)}.", messages.SUCCESS)


@admin.register(DeferredRequest)
class DeferredRequestAdmin(_LaneAdmin):
    """Requests that are answered later; neither prompts nor answers are shown."""

    list_display = (
        "created_at", "state", "deadline_at", "answered_by", "spent", "saved_by_batch", "user_id",
        "error_code",
    )  # fmt: skip
    list_filter = ("state", "provider")
    search_fields = ("id",)
    fields = (  # type: ignore[misc]
        "id", "state", "path", "created_at", "deadline_at", "ended_at", "tenant", "api_key",
        "user_id", "project", "provider", "model", "batch", "client_batch", "custom_id", "direct",
        "calls", "cost", "list_cost", "savings", "status_code", "error_code", "error_detail",
        "webhook", "webhook_attempts", "webhook_error", "delivered_at",
    )  # fmt: skip
    actions = ("cancel_selected",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[DeferredRequest]:
        """Return the rows without prompts and answers, which may be large."""
        return super().get_queryset(request).defer("request", "answer", "decision")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[DeferredRequest], search_term: str
    ) -> tuple[QuerySet[DeferredRequest], bool]:
        """Return the request with this id; all without a term, none if the term is no id."""
        if not (term := search_term.strip()):
            return queryset, False
        try:
            return queryset.filter(pk=UUID(term)), False
        except ValueError:
            return queryset.none(), False

    @admin.display(description="model")
    def answered_by(self, row: DeferredRequest) -> str:
        """Return the model with its provider."""
        return f"{row.provider}/{row.model}"

    @admin.display(description="cost")
    def spent(self, row: DeferredRequest) -> str:
        """Return the cost in USD."""
        return "–" if row.cost is None else shown_dollars(row.cost)

    @admin.display(description="saved")
    def saved_by_batch(self, row: DeferredRequest) -> str:
        """Return what the answer cost less than by a call of its own, in USD."""
        if row.cost is None or row.list_cost is None:
            return "–"
        return shown_dollars(row.list_cost - row.cost)

    @admin.action(description="Cancel selected requests", permissions=["cancel"])
    def cancel_selected(self, request: HttpRequest, queryset: QuerySet[DeferredRequest]) -> None:
        """Cancel the selected requests that have not ended."""
        self._cancel(request, queryset)


@admin.register(ProviderBatch)
class ProviderBatchAdmin(_LaneAdmin):
    """Batches at providers, with what their requests cost and saved."""

    list_display = (
        "name", "state", "answered_by", "answered", "spent", "saved_by_batch", "created_at",
        "ended_at", "error",
    )  # fmt: skip
    list_filter = ("state", "provider")
    fields = (  # type: ignore[misc]
        "id", "object_id", "file_id", "state", "provider", "model", "requests_count", "created_at",
        "intent_at", "submitted_at", "checked_at", "cancelled_at", "ended_at", "calls_failed",
        "error",
    )  # fmt: skip
    actions = ("cancel_selected",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[ProviderBatch]:
        """Return the batches with their sums."""
        return with_sums(super().get_queryset(request))

    @admin.display(description="batch")
    def name(self, batch: ProviderBatch) -> str:
        """Return the provider's id, or our own until there is one."""
        return batch.object_id or batch.pk.hex

    @admin.display(description="model")
    def answered_by(self, batch: ProviderBatch) -> str:
        """Return the model with its provider."""
        return f"{batch.provider}/{batch.model}"

    @admin.display(description="answered")
    def answered(self, batch: ProviderBatch) -> str:
        """Return how many requests the batch answered, of how many."""
        return f"{getattr(batch, 'done', 0)} of {batch.requests_count}"

    @admin.display(description="cost")
    def spent(self, batch: ProviderBatch) -> str:
        """Return the cost in USD."""
        return shown_dollars(getattr(batch, "cost", Decimal(0)))

    @admin.display(description="saved")
    def saved_by_batch(self, batch: ProviderBatch) -> str:
        """Return what the answers cost less than by calls of their own, in USD."""
        return shown_dollars(batch_saving(batch))

    @admin.action(description="Cancel selected batches", permissions=["cancel"])
    def cancel_selected(self, request: HttpRequest, queryset: QuerySet[ProviderBatch]) -> None:
        """Cancel the open requests of the selected batches; the lane then cancels the batches."""
        ids = list(queryset.values_list("pk", flat=True))
        self._cancel(request, DeferredRequest.objects.filter(batch__in=ids))


def with_sums(batches: QuerySet[ProviderBatch]) -> QuerySet[ProviderBatch]:
    """Return the batches with ``done``, ``cost`` and ``list_cost`` (USD) of their requests."""
    answered = Q(requests__state=State.DONE)
    return batches.annotate(
        done=Count("requests", filter=answered),
        cost=MoneySum("requests__cost", filter=answered),
        list_cost=MoneySum("requests__list_cost", filter=answered),
    )


def batch_saving(batch: ProviderBatch) -> Decimal:
    """Return what the answers of a batch from :func:`with_sums` cost less, in USD."""
    saving: Decimal = getattr(batch, "list_cost", Decimal(0)) - getattr(batch, "cost", Decimal(0))
    return saving
