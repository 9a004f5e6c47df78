"""Admin pages of daily totals and of learned evidence."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet, TextField, Value
from django.db.models.functions import Concat

from analytics.admin.compared import ComparedAdmin, comparison_of
from analytics.admin.history import ModelFilter, ProviderFilter, ReadOnlyAdmin
from analytics.admin.plain_values import PlainValuesMixin
from analytics.models import DailyTotal, LearnedEvidence, RefusalTotal, RequestRecord
from analytics.money_shown import shown_dollars
from analytics.reports.figures import DAY

_SEPARATOR = "\x1f"


@admin.register(DailyTotal)
class DailyTotalAdmin(PlainValuesMixin, ComparedAdmin, ReadOnlyAdmin):
    """Lists each day's totals per provider, model and strategy."""

    list_display = (
        "date", "provider", "model", "strategy", "cost", "baseline", "by_routing", "by_cache",
        "requests", "errors", "cache_hits", "tokens_in", "tokens_out",
    )  # fmt: skip
    list_filter = ("strategy", ProviderFilter, ModelFilter)
    date_hierarchy = "date"
    ordering = ("-date", "provider", "model", "strategy")
    change_list_template = "admin/analytics/compared_list.html"
    change_form_template = "admin/analytics/compared_row.html"

    def requests_of(self, rows: Sequence[Any]) -> tuple[QuerySet[RequestRecord], Any, Any]:
        """Return the requests of the rows' days, grouped like the totals."""
        days = [datetime.combine(row.date, time(), UTC) for row in rows]
        requests = RequestRecord.objects.admitted().filter(
            created_at__gte=min(days), created_at__lt=max(days) + timedelta(days=1)
        )
        return requests, _joined("provider", "model", "strategy"), DAY

    def key_of(self, row: DailyTotal) -> tuple[Any, Any]:
        """Return the day and the rest of the row's key."""
        day = datetime.combine(row.date, time(), UTC)
        return day, _SEPARATOR.join((row.provider, row.model, row.strategy))

    @admin.display(description="baseline cost", ordering="baseline_cost")
    def baseline(self, total: DailyTotal) -> str:
        """Return what the baseline would have cost, as USD."""
        return _amount(total, "baseline_cost")

    @admin.display(description="saved by routing", ordering="routing_saved")
    def by_routing(self, total: DailyTotal) -> str:
        """Return what routing saved, as USD."""
        return _amount(total, "routing_saved")

    @admin.display(description="saved by the cache", ordering="cache_saved")
    def by_cache(self, total: DailyTotal) -> str:
        """Return what the response cache saved, as USD."""
        return _amount(total, "cache_saved")


def _amount(total: DailyTotal, figure: str) -> str:
    recorded = {figure: getattr(total, figure)}
    figures = comparison_of(total, recorded)
    return shown_dollars(None if figures is None else figures[figure])


def _joined(*columns: str) -> Concat:
    parts: list[Any] = []
    for column in columns:
        parts += [column, Value(_SEPARATOR)]
    return Concat(*parts[:-1], output_field=TextField())


@admin.register(RefusalTotal)
class RefusalTotalAdmin(ReadOnlyAdmin):
    """Lists how many requests were refused each day, and why."""

    list_display = ("date", "endpoint", "http_status", "reason", "count", "unrecorded")
    list_filter = ("endpoint", "http_status", "reason")
    date_hierarchy = "date"
    ordering = ("-date", "-count", "endpoint", "reason")


@admin.register(LearnedEvidence)
class LearnedEvidenceAdmin(PlainValuesMixin, ReadOnlyAdmin):
    """Lists what the router has learned about each model and kind of prompt."""

    list_display = (
        "pattern", "tier", "rated", "count", "ratings_weight", "quality", "expected", "updated_at",
    )  # fmt: skip
    list_filter = ("pattern", "tier", ProviderFilter, ModelFilter)
    ordering = ("pattern", "tier", "-weight")

    @admin.display(description="model", ordering="model")
    def rated(self, evidence: LearnedEvidence) -> str:
        """Return ``provider/model``."""
        return str(evidence.ref)

    @admin.display(description="weight, in ratings", ordering="weight")
    def ratings_weight(self, evidence: LearnedEvidence) -> str:
        """Return how many new ratings the evidence weighs."""
        return f"{evidence.weight:.1f}"

    @admin.display(description="mean quality")
    def quality(self, evidence: LearnedEvidence) -> str:
        """Return the weighted mean of the scores, 0-1."""
        return f"{evidence.quality_sum / evidence.weight:.2f}" if evidence.weight else "–"

    @admin.display(description="expected quality")
    def expected(self, evidence: LearnedEvidence) -> str:
        """Return the weighted mean of the scores expected before the outcomes, 0-1."""
        return f"{evidence.expected_sum / evidence.weight:.2f}" if evidence.weight else "–"
