"""Admin pages of sessions: runs of agents and conversations, by cost and as a timeline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import F, Q, QuerySet, TextField, Value
from django.db.models.functions import Concat
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path, reverse
from django.utils import timezone
from django.views.decorators.http import require_POST

from analytics.admin.bounded_sort import BoundedSortAdmin, largest_first
from analytics.admin.compared import compared_with, saved_text
from analytics.admin.history import ReadOnlyAdmin
from analytics.admin.plain_values import PlainValuesMixin
from analytics.database.large_tables import COUNTED_ROWS, CappedPaginator
from analytics.exports.csv import csv_response
from analytics.models import AgentSession, RequestRecord
from analytics.money_shown import shown_dollars
from analytics.quality.session_moves import stalls_of
from analytics.reports.compared import compare_savings
from analytics.reports.sessions import (
    MOST_CALLS,
    session_calls,
    session_stop,
    sessions_with,
    sub_agents_of,
    timeline,
    tool_costs,
)
from analytics.templatetags.analytics_format import short


class SessionStateFilter(admin.SimpleListFilter):
    """Filters by what happened to a session."""

    title, parameter_name = "state", "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the choices."""
        return [("runaway", "ran away"), ("moved", "moved up"), ("stopped", "stopped")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Return the sessions in the chosen state."""
        if self.value() == "runaway":
            return queryset.filter(runaway_at__isnull=False)
        if self.value() == "moved":
            return queryset.filter(moved_up_at__isnull=False)
        return queryset.filter(stopped_at__isnull=False) if self.value() else queryset


@admin.register(AgentSession)
class AgentSessionAdmin(PlainValuesMixin, BoundedSortAdmin, ReadOnlyAdmin):
    """Lists sessions, the dearest first; each page shows one session call by call."""

    list_display = (
        "session", "spent", "agent", "user_id", "project", "requests", "tokens", "took", "saved",
        "last_at", "state",
    )  # fmt: skip
    list_display_links = ("session",)
    list_filter = ("agent", SessionStateFilter)
    date_hierarchy = "last_at"
    ordering = ("-cost",)
    sortable_by = ("spent", "requests", "tokens", "took", "saved", "last_at")
    time_column = "last_at"
    ordered_columns = frozenset({"cost", "last_at", "pk"})
    search_fields = ("session_id",)  # get_search_results does the work
    paginator = CappedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    list_per_page = 50
    change_list_template = "admin/analytics/large_change_list.html"
    change_form_template = "admin/analytics/session.html"
    fieldsets: ClassVar[Any] = (("Everything recorded", {"classes": ("collapse",), "fields": (
        "session_id", "tenant", "agent", "user_id", "api_key", "project", "started_at", "last_at",
        "requests", "errors", "cache_hits", "unpriced", "cost", "savings", "prompt_cache_saved",
        "tokens_in", "tokens_out", "cache_read_tokens", "cache_write_tokens", "stopped_at",
        "stop_reason",
    )}),)  # fmt: skip
    csv_columns = (
        "session_id", "tenant", "agent", "user_id", "api_key", "project", "started_at", "last_at",
        "requests", "errors", "cache_hits", "unpriced", "human_turns", "tool_calls", "tokens_in",
        "tokens_out", "cache_read_tokens", "cache_write_tokens", "cost", "savings",
        "prompt_cache_saved", "stopped_at", "stop_reason",
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[AgentSession]:
        """Return the sessions, without the rows of their sub-agents."""
        return super().get_queryset(request).filter(sub_agent="")

    def requests_of(self, rows: Sequence[Any]) -> tuple[QuerySet[RequestRecord], Any, Any]:
        """Return the requests of the sessions, grouped by tenant and session."""
        own = Q()
        for row in rows:
            own |= Q(tenant=row.tenant, session_id=row.session_id)
        by = Concat("tenant", Value("\x1f"), "session_id", output_field=TextField())
        return RequestRecord.objects.filter(own), by, None

    def key_of(self, row: AgentSession) -> tuple[Any, Any]:
        """Return the group of the session's requests."""
        return None, f"{row.tenant}\x1f{row.session_id}"

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Look an id up by index."""
        if not search_term.strip():
            return queryset, False
        return sessions_with(queryset, search_term), False

    def get_urls(self) -> list[Any]:
        """Return the admin's URLs with those of the CSV export and of the stop."""
        return [
            path(
                "export/",
                self.admin_site.admin_view(self.export_view),
                name="analytics_agentsession_export",
            ),
            path(
                "<path:object_id>/stop/",
                self.admin_site.admin_view(require_POST(self.stop_view)),
                name="analytics_agentsession_stop",
            ),
            *super().get_urls(),
        ]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> Any:
        """Render the list with a link to the CSV export."""
        context = {
            "export_url": reverse("admin:analytics_agentsession_export"),
            "counted_rows": COUNTED_ROWS,
            "cost_by_tool": True,
            "search_note": "Search by the id of a session, a sub-agent, a request or an answer.",
            **(extra_context or {}),
        }
        return super().changelist_view(request, context)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        """Render one session: its sums, its calls, its sub-agents and the cost by tool."""
        session = self.get_object(request, unquote(object_id))
        more: dict[str, Any] = dict(extra_context or {})
        if session is not None and self.has_view_permission(request, session):
            calls, stalls = session_calls(session), stalls_of(session)
            compare_savings(calls, compared_with(self.admin_site, request))
            more |= {
                "title": "Session",
                "session": session,
                "saved": saved_text(session, session.savings),
                "calls": timeline(calls, stalls),
                "earlier": max(session.requests - len(calls), 0),
                "most_calls": MOST_CALLS,
                "tools": tool_costs(calls),
                "sub_agents": sub_agents_of(session),
                "stalls": stalls,
                "may_stop": request.user.has_perm("analytics.change_agentsession"),
                "stop_url": reverse("admin:analytics_agentsession_stop", args=[session.pk]),
            }
        return super().change_view(request, object_id, form_url, more)

    def stop_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Stop a session, or let a stopped one go on."""
        session = self.get_object(request, unquote(object_id))
        may = request.user.has_perm("analytics.change_agentsession")  # type: ignore[union-attr]
        if session is None or not may:
            raise PermissionDenied
        if session.stopped_at is None:
            reason = request.POST.get("reason", "").strip() or f"by {request.user}"
            session_stop(session, reason=reason, at=timezone.now())
            self.log_change(request, session, "Stopped the session.")
            messages.success(request, "The session ends at its next call.")
        else:
            session_stop(session, reason="", at=None)
            self.log_change(request, session, "Let the session go on.")
            messages.success(request, "The session may go on.")
        return HttpResponseRedirect(
            reverse("admin:analytics_agentsession_change", args=[session.pk])
        )

    def export_view(self, request: HttpRequest) -> Any:
        """Return all rows of the list as it is filtered now, as CSV."""
        rows = self.get_changelist_instance(request).get_queryset(request)
        return csv_response(rows, self.csv_columns, "sessions.csv")

    @admin.display(description="session", ordering="session_id")
    def session(self, row: AgentSession) -> str:
        """Return the beginning of the id."""
        return row.session_id if len(row.session_id) <= 24 else f"{row.session_id[:24]}…"

    @admin.display(description="tokens", ordering=largest_first("tokens_in"))
    def tokens(self, row: AgentSession) -> str:
        """Return the tokens read, those from a prompt cache among them, and written."""
        cached = f" ({short(row.cache_read_tokens)} cached)" if row.cache_read_tokens else ""
        return f"{short(row.tokens_in)}{cached} → {short(row.tokens_out)}"

    @admin.display(description="took", ordering=(F("last_at") - F("started_at")).desc())
    def took(self, row: AgentSession) -> str:
        """Return the time from the first call to the last one."""
        seconds = int((row.last_at - row.started_at).total_seconds())
        hours, minutes = seconds // 3600, seconds % 3600 // 60
        return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds % 60} s"

    @admin.display(description="cost", ordering="-cost")
    def spent(self, row: AgentSession) -> str:
        """Return what the session cost, as USD."""
        return shown_dollars(row.cost)

    @admin.display(description="saved", ordering=largest_first("savings"))
    def saved(self, row: AgentSession) -> str:
        """Return what routing and the response cache saved, as USD."""
        return saved_text(row, row.savings)

    @admin.display(description="state")
    def state(self, row: AgentSession) -> str:
        """Return whether the session was stopped, or ran away."""
        return "stopped" if row.stopped_at else "ran away" if row.runaway_at else ""
