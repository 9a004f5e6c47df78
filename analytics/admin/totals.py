"""The admin's sums: each day's totals, and what was learned."""

from __future__ import annotations

from django.contrib import admin

from analytics.admin.history import ModelFilter, ProviderFilter, ReadOnlyAdmin
from analytics.models import DailyTotal, LearnedEvidence


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
