"""Admin pages of cached answers and of feedback on answers."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from analytics.admin.history import HistoryAdmin, ModelFilter, ProviderFilter
from analytics.admin.links import cache_link_to, link_to
from analytics.cache import invalidate_entries
from analytics.models import CachedResponse, Feedback, RequestRecord
from analytics.money_shown import shown_dollars


@admin.register(CachedResponse)
class CachedResponseAdmin(HistoryAdmin):
    """Lists cached answers; they can be invalidated, exported and deleted."""

    list_display = (
        "created_at", "prompt_start", "answered_by", "hit_count", "original_price", "saved",
        "quality_score", "vote_count", "is_live", "requests_link",
    )  # fmt: skip
    list_filter = (
        ("invalidated_at", admin.EmptyFieldListFilter), "tier", "pattern", ProviderFilter,
        ModelFilter,
    )  # fmt: skip
    sortable_by = ("created_at", "hit_count")
    readonly_fields = ("answered_by", "original_price", "saved", "requests_link")
    actions = ("export_selected", "invalidate")
    csv_columns = (
        "cache_key", "created_at", "provider", "model", "pattern", "tier", "tokens_in",
        "tokens_out", "original_cost", "hit_count", "vote_count", "quality_score", "expires_at",
        "invalidated_at", "invalidation_reason",
    )  # fmt: skip

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return what Django's permissions allow: a cached answer is not history."""
        return admin.ModelAdmin.has_delete_permission(self, request, obj)

    def _by_id(self, queryset: QuerySet[Any], request_id: uuid.UUID) -> QuerySet[Any]:
        key = RequestRecord.objects.filter(pk=request_id).values("cache_key")[:1]
        return queryset.filter(cache_key__in=key)

    def _by_cache_key(self, queryset: QuerySet[Any], key: str) -> QuerySet[Any]:
        return queryset.filter(cache_key=key)

    @admin.action(description="Invalidate selected answers", permissions=["delete"])
    def invalidate(self, request: HttpRequest, queryset: QuerySet[CachedResponse]) -> None:
        """Stop serving the selected answers."""
        count = invalidate_entries(queryset, reason=f"by {request.user}")
        self.message_user(request, f"{count} answers will not be served again.")

    @admin.display(description="answered by")
    def answered_by(self, entry: CachedResponse) -> str:
        """Return ``provider/model``."""
        return str(entry.ref)

    @admin.display(description="original cost")
    def original_price(self, entry: CachedResponse) -> str:
        """Return what the answer cost when it was made, as USD."""
        return shown_dollars(entry.original_cost)

    @admin.display(description="saved so far")
    def saved(self, entry: CachedResponse) -> str:
        """Return what cache hits have saved so far, as USD."""
        return shown_dollars(entry.saved_by_hits)

    @admin.display(description="live", boolean=True)
    def is_live(self, entry: CachedResponse) -> bool:
        """Return whether the answer has not been invalidated."""
        return entry.invalidated_at is None

    @admin.display(description="requests")
    def requests_link(self, entry: CachedResponse) -> SafeString:
        """Return a link to the requests with this cache key."""
        url = reverse("admin:analytics_requestrecord_changelist")
        return format_html('<a href="{}?q={}">requests</a>', url, entry.cache_key)


@admin.register(Feedback)
class FeedbackAdmin(HistoryAdmin):
    """Lists feedback on answers."""

    list_display = (
        "created_at", "score", "expected", "rating", "source", "comment", "provider", "model",
        "pattern", "tier", "request_link", "cache_link",
    )  # fmt: skip
    list_filter = ("source", "rating", "tier", "pattern", ProviderFilter, ModelFilter)
    list_select_related = ("cache_entry",)
    prompt_field = "comment"
    csv_columns = (
        "id", "created_at", "request_id", "score", "rating", "comment", "provider", "model",
        "pattern", "tier", "expected", "source", "external_id",
    )  # fmt: skip

    def _by_id(self, queryset: QuerySet[Any], request_id: uuid.UUID) -> QuerySet[Any]:
        return queryset.filter(request_id=request_id)

    def _by_cache_key(self, queryset: QuerySet[Any], key: str) -> QuerySet[Any]:
        return queryset.filter(cache_entry__cache_key=key)

    @admin.display(description="request")
    def request_link(self, feedback: Feedback) -> SafeString | str:
        """Return a link to the rated request, or a dash if it was pruned."""
        if feedback.request_id is None:
            return "–"
        return link_to("requestrecord", feedback.request_id, str(feedback.request_id)[-8:])

    @admin.display(description="cache entry")
    def cache_link(self, feedback: Feedback) -> SafeString | str:
        """Return a link to the rated cache entry, or a dash."""
        return cache_link_to(feedback.cache_entry.cache_key if feedback.cache_entry else "")
