"""Admin page of comparisons: two models' answers to one prompt, and which was better."""

from __future__ import annotations

from django.contrib import admin
from django.utils.safestring import SafeString

from analytics.admin.history import HistoryAdmin
from analytics.admin.links import link_to
from analytics.models import Comparison
from analytics.money_shown import shown_dollars


@admin.register(Comparison)
class ComparisonAdmin(HistoryAdmin):
    """Lists comparisons of routed answers with the reference model's."""

    list_display = (
        "created_at", "kind", "routed", "reference", "scores", "served", "spent", "request_link",
    )  # fmt: skip
    list_filter = ("source", "pattern", "tier", "served")
    readonly_fields = ("routed", "reference", "scores", "spent", "request_link")
    search_fields = ()
    csv_columns = (
        "created_at", "request_id", "source", "pattern", "tier", "provider", "model", "score",
        "expected", "served", "reference_provider", "reference_model", "reference_score", "judge",
        "judge_cost", "answer_cost", "error",
    )  # fmt: skip

    @admin.display(description="kind of prompt")
    def kind(self, row: Comparison) -> str:
        """Return the prompt's pattern and tier."""
        return f"{row.pattern}, {row.tier}"

    @admin.display(description="routed to")
    def routed(self, row: Comparison) -> str:
        """Return the model that the router chose."""
        return row.model

    @admin.display(description="compared with")
    def reference(self, row: Comparison) -> str:
        """Return the reference model."""
        return row.reference_model

    @admin.display(description="quality")
    def scores(self, row: Comparison) -> str:
        """Return both scores and their difference, or why there are none."""
        if row.gain is None:
            return row.error or "not judged"
        return f"{row.score:.2f} to {row.reference_score:.2f} ({row.gain:+.2f})"

    @admin.display(description="cost of judging")
    def spent(self, row: Comparison) -> str:
        """Return the cost of the judge and of the reference's answer, as USD."""
        return shown_dollars(row.judge_cost + row.answer_cost)

    @admin.display(description="request")
    def request_link(self, row: Comparison) -> SafeString | str:
        """Return a link to the request, or a dash if it was pruned."""
        return (
            link_to("requestrecord", row.request_id, str(row.request_id)[-8:])
            if row.request_id
            else "–"
        )
