"""Admin pages of daily totals and of learned evidence."""

from __future__ import annotations

from django.contrib import admin

from analytics.admin.history import ModelFilter, ProviderFilter, ReadOnlyAdmin
from analytics.models import DailyTotal, LearnedEvidence, RefusalTotal


@admin.register(DailyTotal)
class DailyTotalAdmin(ReadOnlyAdmin):
    """Lists each day's totals per provider, model and strategy."""

    list_display = (
        "date", "provider", "model", "strategy", "requests", "errors", "cache_hits", "tokens_in",
        "tokens_out", "cost", "baseline_cost", "routing_saved", "cache_saved",
    )  # fmt: skip
    list_filter = ("strategy", ProviderFilter, ModelFilter)
    date_hierarchy = "date"
    ordering = ("-date", "provider", "model", "strategy")


@admin.register(RefusalTotal)
class RefusalTotalAdmin(ReadOnlyAdmin):
    """Lists how many requests were refused each day, and why."""

    list_display = ("date", "endpoint", "http_status", "reason", "count", "unrecorded")
    list_filter = ("endpoint", "http_status", "reason")
    date_hierarchy = "date"
    ordering = ("-date", "-count", "endpoint", "reason")


@admin.register(LearnedEvidence)
class LearnedEvidenceAdmin(ReadOnlyAdmin):
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
