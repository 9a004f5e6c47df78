"""Admin pages of requests and of routing decisions."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from analytics.access.prompt_rights import may_view_prompts
from analytics.admin.bounded_sort import BoundedSortAdmin, largest_first
from analytics.admin.compared import ComparedAdmin, compared_with, saved_text
from analytics.admin.history import (
    ErrorFilter,
    HistoryAdmin,
    ModelFilter,
    ProviderFilter,
    TagFilter,
    UnpricedFilter,
    UserFilter,
)
from analytics.admin.links import cache_link_to, link_to
from analytics.admin.prompt_access import without_texts
from analytics.billed_units import units_in_words
from analytics.ledger.daily_totals import savings_summary
from analytics.ledger.savings import Savings
from analytics.models import RequestRecord, RoutingMetric
from analytics.money import dollars
from analytics.money_shown import shown_dollars
from analytics.reports.compared import compared_summary
from analytics.reports.plots import candidate_plot
from analytics.reports.request_explanation import explain_request
from routing.models import ModelRef


def story_context(
    site: admin.AdminSite, request: HttpRequest, decision: RoutingMetric
) -> dict[str, Any]:
    """Return what the page of a request or of its decision needs to tell its story."""
    candidates = decision.metadata.get("candidates", [])
    baseline = ModelRef(decision.baseline_provider, decision.baseline_model)
    story = explain_request(decision, compared_with(site, request))
    reads = may_view_prompts(request)
    return {
        "title": "What happened to a request",
        "story": story if reads else without_texts(story),
        "candidates": candidates,
        "plot": candidate_plot(candidates, baseline),
        "may_see_answer": reads and request.user.has_perm("analytics.view_cachedresponse"),  # type: ignore[union-attr]
        "asked_again": asked_again(site, request, decision.request),
    }


def asked_again(
    site: admin.AdminSite, request: HttpRequest, record: RequestRecord
) -> dict[str, Any] | None:
    """Return what the playground needs to ask a request's prompt again.

    ``None`` where there is no prompt that the user may read, or no playground that knows it.
    """
    models = getattr(site, "models_to_ask", None)
    if models is None or not record.prompt or not may_view_prompts(request):
        return None
    names: list[str] | None = models(request)
    return None if names is None else {"request": record.pk, "models": names}


@admin.register(RoutingMetric)
class RoutingMetricAdmin(ComparedAdmin, HistoryAdmin):
    """Lists routing decisions; each page explains one decision."""

    list_display = (
        "created_at", "prompt_start", "model_chosen", "cost", "saved", "strategy_used",
        "confidence", "pattern", "tier", "request_link", "cache_link",
    )  # fmt: skip
    list_filter = (
        "strategy_used", "confidence", "tier", "pattern", "fallback_used", UnpricedFilter,
        ProviderFilter, ModelFilter,
    )  # fmt: skip
    id_fields = ("request__session_id", "request__user_id", "request__response_id")
    prompt_field = "request__prompt"
    csv_columns = (
        "request_id", "created_at", "provider", "model", "strategy_used", "confidence", "pattern",
        "tier", "complexity", "fallback_used", "cost_estimate", "quality_score", "actual_cost",
        "baseline_provider", "baseline_model", "baseline_cost", "routing_saved", "cache_saved",
    )  # fmt: skip
    fieldsets = (
        (
            "Everything recorded",
            {
                "classes": ("collapse",),
                "fields": (
                    "created_at", "request_link", "cache_link", "estimate", "cost", "baseline",
                    "quality_score", "metadata",
                ),
            },
        ),
    )  # fmt: skip
    change_form_template = "admin/analytics/decision.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[RoutingMetric]:
        """Return the decisions with their requests, in one query."""
        return super().get_queryset(request).select_related("request")

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        """Render one decision: what happened, and the candidates as a table and a plot."""
        decision = self.get_object(request, unquote(object_id))
        more: dict[str, Any] = dict(extra_context or {})
        if decision is not None and self.has_view_permission(request, decision):
            more |= story_context(self.admin_site, request, decision)
        return super().change_view(request, object_id, form_url, more)

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> Any:
        """Render the list below a summary of savings."""
        compared = compared_with(self.admin_site, request)
        sums = None if compared is None or compared.baseline is None else compared.sums()
        savings = savings_summary() if sums is None else compared_summary(sums)
        return super().changelist_view(request, {**(extra_context or {}), "savings": savings})

    def prompt_of(self, row: RoutingMetric) -> str:
        """Return the prompt of the decision's request."""
        return row.request.prompt

    @admin.display(description="model")
    def model_chosen(self, decision: RoutingMetric) -> str:
        """Return ``provider/model``."""
        return str(decision.ref)

    @admin.display(description="cost")
    def cost(self, decision: RoutingMetric) -> str:
        """Return what the request cost, as USD."""
        return shown_dollars(decision.actual_cost)

    @admin.display(description="saved")
    def saved(self, decision: RoutingMetric) -> str:
        """Return what routing and the cache saved together, as USD."""
        recorded = Savings(decision.routing_saved, decision.cache_saved).total
        return saved_text(decision, recorded)

    @admin.display(description="estimated cost")
    def estimate(self, decision: RoutingMetric) -> str:
        """Return the cost expected before the call, as USD."""
        return shown_dollars(decision.cost_estimate)

    @admin.display(description="baseline")
    def baseline(self, decision: RoutingMetric) -> str:
        """Return what the baseline would have cost, as USD, and its model."""
        if not decision.baseline_model:
            return dollars(decision.baseline_cost)
        model = f"{decision.baseline_provider}/{decision.baseline_model}"
        return f"{dollars(decision.baseline_cost)} on {model}"

    @admin.display(description="request")
    def request_link(self, decision: RoutingMetric) -> SafeString:
        """Return a link to the request."""
        return link_to("requestrecord", decision.pk, str(decision.pk)[-8:])

    @admin.display(description="cache entry")
    def cache_link(self, decision: RoutingMetric) -> SafeString | str:
        """Return a link to the cache entry of the request, or a dash."""
        return cache_link_to(decision.request.cache_key)


@admin.register(RequestRecord)
class RequestRecordAdmin(BoundedSortAdmin, HistoryAdmin):
    """Lists requests, the ledger; each page tells what happened to one request."""

    list_display = (
        "created_at", "spent", "prompt_start", "served_by", "tokens", "latency", "saved", "outcome",
    )  # fmt: skip
    sortable_by = ("created_at", "spent", "latency", "tokens", "saved")
    list_filter = (
        "status", ErrorFilter, "endpoint", "strategy", "tier", "pattern", "cache_hit",
        "price_basis", "replayed", ProviderFilter, ModelFilter, UserFilter, TagFilter,
    )  # fmt: skip
    readonly_fields = (
        "asked_for", "served_by", "spent", "saved", "latency", "first_token", "decision_link",
        "cache_link",
    )  # fmt: skip
    change_form_template = "admin/analytics/request.html"
    id_fields = ("session_id", "user_id", "response_id")
    csv_columns = (
        "id", "created_at", "status", "provider", "model", "strategy", "confidence", "pattern",
        "tier", "complexity", "max_tokens", "auto_route", "user_id", "session_id", "tokens_in",
        "tokens_out", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens",
        "usage_estimated", "finish_reason", "cost", "price_basis", "list_cost", "failed_cost",
        "cache_hit", "cache_key", "original_cost", "savings", "latency_ms", "provider_ms",
        "error_code", "error_detail", "http_status", "replayed", "endpoint", "requested_model",
        "streamed", "ttft_ms", "tags", "member",
    )  # fmt: skip

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Return all fields, below the story and closed."""
        fieldsets = super().get_fieldsets(request, obj)
        return [
            ("Everything recorded", {**options, "classes": ("collapse",)})
            for _, options in fieldsets
        ]

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        """Render one request: its story, and below it everything recorded."""
        record = self.get_object(request, unquote(object_id))
        more: dict[str, Any] = dict(extra_context or {})
        if record is not None and self.has_view_permission(request, record):
            decision = RoutingMetric.objects.select_related("request").filter(pk=record.pk).first()
            if decision is not None:
                more |= story_context(self.admin_site, request, decision)
        return super().change_view(request, object_id, form_url, more)

    @admin.display(description="tokens", ordering=largest_first("tokens_in"))
    def tokens(self, record: RequestRecord) -> str:
        """Return the tokens read and written, or what else the request was billed by."""
        if record.status == RequestRecord.Status.REFUSED:
            return "–"
        if not (record.tokens_in or record.tokens_out) and record.billed_units:
            return ", ".join(units_in_words(record.billed_units)) or "–"
        return f"{record.tokens_in:,} → {record.tokens_out:,}"

    @admin.display(description="status")
    def outcome(self, record: RequestRecord) -> str:
        """Return how the request ended, with the code of an error."""
        if record.cache_hit:
            return "from the cache"
        status = str(record.get_status_display())  # type: ignore[no-untyped-call]
        return f"{status}: {record.error_code}" if record.error_code else status

    @admin.display(description="asked for")
    def asked_for(self, record: RequestRecord) -> str:
        """Return the model as the client named it, and the API that the client called."""
        if record.requested_model:
            return f"{record.requested_model} ({record.endpoint})"
        refused = record.status == RequestRecord.Status.REFUSED
        return f"({record.endpoint})" if refused else "–"

    @admin.display(description="first token")
    def first_token(self, record: RequestRecord) -> str:
        """Return the time to the first token in milliseconds, or a dash if not streamed."""
        return "–" if record.ttft_ms is None else f"{record.ttft_ms:,.0f} ms"

    @admin.display(description="answered by")
    def served_by(self, record: RequestRecord) -> str:
        """Return ``provider/model``, the reason of a refusal, or a dash if no model answered."""
        if record.status == RequestRecord.Status.REFUSED:
            return f"refused: {record.error_code} ({record.http_status})"
        return str(record.ref) if record.provider else "–"

    @admin.display(description="cost", ordering=largest_first("cost"))
    def spent(self, record: RequestRecord) -> str:
        """Return what the request cost, as USD."""
        return shown_dollars(record.cost)

    @admin.display(description="saved", ordering=largest_first("savings"))
    def saved(self, record: RequestRecord) -> str:
        """Return what the request saved, as USD."""
        return saved_text(record, record.savings)

    @admin.display(description="latency", ordering=largest_first("latency_ms"))
    def latency(self, record: RequestRecord) -> str:
        """Return the latency in milliseconds, or a dash if the request was refused."""
        if record.status == RequestRecord.Status.REFUSED:
            return "–"
        return f"{record.latency_ms:,.0f} ms"

    @admin.display(description="decision")
    def decision_link(self, record: RequestRecord) -> SafeString | str:
        """Return a link to the routing decision, or a dash if the request was refused."""
        if record.status == RequestRecord.Status.REFUSED:
            return "–"
        return link_to("routingmetric", record.pk, record.strategy)

    @admin.display(description="cache entry")
    def cache_link(self, record: RequestRecord) -> SafeString | str:
        """Return a link to the cache entry, or a dash."""
        return cache_link_to(record.cache_key)
