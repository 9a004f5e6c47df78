"""The admin: decisions, requests, cached answers, feedback and daily totals."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from analytics.cache import invalidate_entries
from analytics.history_admin import (
    NOT_STORED,
    HistoryAdmin,
    ModelFilter,
    ProviderFilter,
    ReadOnlyAdmin,
)
from analytics.models import (
    CachedResponse,
    DailyTotal,
    Feedback,
    LearnedEvidence,
    RequestRecord,
    RoutingMetric,
)
from analytics.money import dollars
from analytics.savings import Savings
from analytics.totals import savings_summary

admin.site.site_header = "AI Cost Optimizer"
admin.site.site_title = "AI Cost Optimizer"
admin.site.site_url = "/docs"
admin.site.index_title = "Decisions, costs and savings"


def _link(name: str, pk: Any, label: str) -> SafeString:
    return format_html(
        '<a href="{}">{}</a>', reverse(f"admin:analytics_{name}_change", args=[pk]), label
    )


def _cache_link(cache_key: str) -> SafeString | str:
    if not cache_key:
        return "–"
    url = reverse("admin:analytics_cachedresponse_changelist")
    return format_html('<a href="{}?q={}">{}</a>', url, cache_key, cache_key[:10])


@admin.register(RoutingMetric)
class RoutingMetricAdmin(HistoryAdmin):
    list_display = (
        "created_at", "prompt_start", "model_chosen", "cost", "saved", "strategy_used",
        "confidence", "pattern", "tier", "request_link", "cache_link",
    )  # fmt: skip
    list_filter = (
        "strategy_used", "confidence", "tier", "pattern", "fallback_used", ProviderFilter,
        ModelFilter,
    )  # fmt: skip
    list_select_related = ("request",)
    key_field = "request__cache_key"
    prompt_field = "request__prompt"
    csv_columns = (
        "request_id", "created_at", "provider", "model", "strategy_used", "confidence", "pattern",
        "tier", "complexity", "fallback_used", "cost_estimate", "quality_score", "actual_cost",
        "baseline_provider", "baseline_model", "baseline_cost", "routing_saved", "cache_saved",
    )  # fmt: skip
    fieldsets = (
        (None, {"fields": ("reasoning", "full_prompt", "candidates")}),
        (
            "Decision",
            {
                "fields": (
                    "created_at", "model_chosen", "strategy_used", "confidence", "validation",
                    "chance", "fallback_used", "pattern", "complexity", "tier", "quality_score",
                )
            },
        ),
        (
            "Money",
            {"fields": ("estimate", "cost", "baseline", "saved_by_routing", "saved_by_cache")},
        ),
        ("Related", {"fields": ("request_link", "cache_link", "feedback")}),
        ("Everything recorded", {"classes": ("collapse",), "fields": ("metadata",)}),
    )  # fmt: skip

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> Any:
        return super().changelist_view(
            request, {**(extra_context or {}), "savings": savings_summary()}
        )

    def prompt_of(self, row: RoutingMetric) -> str:
        return row.request.prompt

    @admin.display(description="prompt")
    def full_prompt(self, decision: RoutingMetric) -> str:
        return self.prompt_of(decision) or NOT_STORED

    @admin.display(description="model")
    def model_chosen(self, decision: RoutingMetric) -> str:
        return f"{decision.provider}/{decision.model}"

    @admin.display(description="validation by complexity")
    def validation(self, decision: RoutingMetric) -> str:
        return decision.metadata.get("validation", "–")

    @admin.display(description="chance of this choice")
    def chance(self, decision: RoutingMetric) -> str:
        chance = f"{decision.metadata.get('propensity', 1):.1%}"
        return f"{chance}, tried in order to learn" if decision.metadata.get("explored") else chance

    @admin.display(description="cost")
    def cost(self, decision: RoutingMetric) -> str:
        return dollars(decision.actual_cost)

    @admin.display(description="saved")
    def saved(self, decision: RoutingMetric) -> str:
        return dollars(Savings(decision.routing_saved, decision.cache_saved).total)

    @admin.display(description="estimated cost")
    def estimate(self, decision: RoutingMetric) -> str:
        return dollars(decision.cost_estimate)

    @admin.display(description="baseline (complexity's choice)")
    def baseline(self, decision: RoutingMetric) -> str:
        if not decision.baseline_model:
            return dollars(decision.baseline_cost)
        model = f"{decision.baseline_provider}/{decision.baseline_model}"
        return f"{dollars(decision.baseline_cost)} on {model}"

    @admin.display(description="saved by routing")
    def saved_by_routing(self, decision: RoutingMetric) -> str:
        return dollars(decision.routing_saved)

    @admin.display(description="saved by the cache")
    def saved_by_cache(self, decision: RoutingMetric) -> str:
        return dollars(decision.cache_saved)

    @admin.display(description="request")
    def request_link(self, decision: RoutingMetric) -> SafeString:
        return _link("requestrecord", decision.pk, str(decision.pk)[-8:])

    @admin.display(description="cache entry")
    def cache_link(self, decision: RoutingMetric) -> SafeString | str:
        return _cache_link(decision.request.cache_key)

    @admin.display(description="candidates considered")
    def candidates(self, decision: RoutingMetric) -> str:
        return render_to_string(
            "admin/analytics/candidates.html",
            {"candidates": decision.metadata.get("candidates", [])},
        )

    @admin.display(description="feedback")
    def feedback(self, decision: RoutingMetric) -> str:
        verdicts = decision.request.feedback.values_list("score", "comment")
        return "\n".join(f"{score:.2f} {comment}".strip() for score, comment in verdicts) or "–"


@admin.register(RequestRecord)
class RequestRecordAdmin(HistoryAdmin):
    list_display = (
        "created_at", "prompt_start", "status", "served_by", "strategy", "tier", "tokens_in",
        "tokens_out", "spent", "saved", "cache_hit", "latency", "decision_link", "cache_link",
    )  # fmt: skip
    list_filter = (
        "status",
        "strategy",
        "tier",
        "pattern",
        "cache_hit",
        "replayed",
        ProviderFilter,
        ModelFilter,
    )
    readonly_fields = ("served_by", "spent", "saved", "latency", "decision_link", "cache_link")
    csv_columns = (
        "id", "created_at", "status", "provider", "model", "strategy", "confidence", "pattern",
        "tier", "complexity", "max_tokens", "auto_route", "user_id", "session_id", "tokens_in",
        "tokens_out", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens",
        "usage_estimated", "finish_reason", "cost", "failed_cost", "cache_hit", "cache_key",
        "original_cost", "savings", "latency_ms", "provider_ms", "error_code", "error_detail",
        "replayed",
    )  # fmt: skip

    @admin.display(description="answered by")
    def served_by(self, record: RequestRecord) -> str:
        return f"{record.provider}/{record.model}" if record.provider else "–"

    @admin.display(description="cost")
    def spent(self, record: RequestRecord) -> str:
        return dollars(record.cost)

    @admin.display(description="saved")
    def saved(self, record: RequestRecord) -> str:
        return dollars(record.savings)

    @admin.display(description="latency")
    def latency(self, record: RequestRecord) -> str:
        return f"{record.latency_ms:,.0f} ms"

    @admin.display(description="decision")
    def decision_link(self, record: RequestRecord) -> SafeString | str:
        return _link("routingmetric", record.pk, record.strategy)

    @admin.display(description="cache entry")
    def cache_link(self, record: RequestRecord) -> SafeString | str:
        return _cache_link(record.cache_key)


@admin.register(CachedResponse)
class CachedResponseAdmin(HistoryAdmin):
    list_display = (
        "created_at", "prompt_start", "answered_by", "hit_count", "worth", "saved",
        "quality_score", "vote_count", "is_live", "requests_link",
    )  # fmt: skip
    list_filter = (
        ("invalidated_at", admin.EmptyFieldListFilter), "tier", "pattern", ProviderFilter,
        ModelFilter,
    )  # fmt: skip
    sortable_by = ("created_at", "hit_count")
    readonly_fields = ("answered_by", "worth", "saved", "requests_link")
    actions = ("export_selected", "invalidate")
    csv_columns = (
        "cache_key", "created_at", "provider", "model", "pattern", "tier", "tokens_in",
        "tokens_out", "original_cost", "hit_count", "vote_count", "quality_score", "expires_at",
        "invalidated_at", "invalidation_reason",
    )  # fmt: skip

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # A cached answer is no history: it may go.
        return admin.ModelAdmin.has_delete_permission(self, request, obj)

    def _by_id(self, queryset: QuerySet[Any], request_id: uuid.UUID) -> QuerySet[Any]:
        key = RequestRecord.objects.filter(pk=request_id).values("cache_key")[:1]
        return queryset.filter(cache_key__in=key)

    @admin.action(description="Invalidate selected answers", permissions=["delete"])
    def invalidate(self, request: HttpRequest, queryset: QuerySet[CachedResponse]) -> None:
        count = invalidate_entries(queryset, reason=f"by {request.user}")
        self.message_user(request, f"{count} answers will not be served again.")

    @admin.display(description="answered by")
    def answered_by(self, entry: CachedResponse) -> str:
        return f"{entry.provider}/{entry.model}"

    @admin.display(description="original cost")
    def worth(self, entry: CachedResponse) -> str:
        return dollars(entry.original_cost)

    @admin.display(description="saved so far")
    def saved(self, entry: CachedResponse) -> str:
        return dollars(entry.saved_by_hits)

    @admin.display(description="live", boolean=True)
    def is_live(self, entry: CachedResponse) -> bool:
        return entry.invalidated_at is None

    @admin.display(description="requests")
    def requests_link(self, entry: CachedResponse) -> SafeString:
        url = reverse("admin:analytics_requestrecord_changelist")
        return format_html('<a href="{}?q={}">requests</a>', url, entry.cache_key)


@admin.register(Feedback)
class FeedbackAdmin(HistoryAdmin):
    list_display = (
        "created_at", "score", "expected", "rating", "source", "comment", "provider", "model",
        "pattern", "tier", "request_link", "cache_link",
    )  # fmt: skip
    list_filter = ("source", "rating", "tier", "pattern", ProviderFilter, ModelFilter)
    list_select_related = ("cache_entry",)
    key_field = "cache_entry__cache_key"
    prompt_field = "comment"
    csv_columns = (
        "id", "created_at", "request_id", "score", "rating", "comment", "provider", "model",
        "pattern", "tier", "expected", "source", "external_id",
    )  # fmt: skip

    def _by_id(self, queryset: QuerySet[Any], request_id: uuid.UUID) -> QuerySet[Any]:
        return queryset.filter(request_id=request_id)

    @admin.display(description="request")
    def request_link(self, feedback: Feedback) -> SafeString | str:
        if feedback.request_id is None:
            return "–"
        return _link("requestrecord", feedback.request_id, str(feedback.request_id)[-8:])

    @admin.display(description="cache entry")
    def cache_link(self, feedback: Feedback) -> SafeString | str:
        return _cache_link(feedback.cache_entry.cache_key if feedback.cache_entry else "")


@admin.register(DailyTotal)
class DailyTotalAdmin(ReadOnlyAdmin):
    list_display = (
        "date", "provider", "model", "strategy", "requests", "errors", "cache_hits", "tokens_in",
        "tokens_out", "cost", "baseline_cost", "routing_saved", "cache_saved",
    )  # fmt: skip
    list_filter = ("strategy", ProviderFilter, ModelFilter)
    date_hierarchy = "date"
    ordering = ("-date", "provider", "model", "strategy")


@admin.register(LearnedEvidence)
class LearnedEvidenceAdmin(ReadOnlyAdmin):
    list_display = (
        "pattern", "tier", "rated", "count", "weighs", "quality", "expected", "updated_at",
    )  # fmt: skip
    list_filter = ("pattern", "tier", ProviderFilter, ModelFilter)
    ordering = ("pattern", "tier", "-weight")

    @admin.display(description="model", ordering="model")
    def rated(self, known: LearnedEvidence) -> str:
        return f"{known.provider}/{known.model}"

    @admin.display(description="weighs, in ratings", ordering="weight")
    def weighs(self, known: LearnedEvidence) -> str:
        return f"{known.weight:.1f}"

    @admin.display(description="mean quality")
    def quality(self, known: LearnedEvidence) -> str:
        return f"{known.quality_sum / known.weight:.2f}" if known.weight else "–"

    @admin.display(description="had been expected")
    def expected(self, known: LearnedEvidence) -> str:
        return f"{known.expected_sum / known.weight:.2f}" if known.weight else "–"
