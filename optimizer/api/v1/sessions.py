"""GET /sessions/{id}: what one run of an agent, or one conversation, did and cost."""

from __future__ import annotations

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers as s
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from analytics.models import RequestRecord
from analytics.reports.sessions import session_find, session_story
from optimizer.api.http.documentation import extend_schema
from optimizer.api.http.views import ReportViewSet, tenant_of
from optimizer.api.v1.baselines import BASELINE, compared_with
from optimizer.api.v1.schema import ErrorBody

_MOST_CALLS = 200


class SessionFigures(s.Serializer):
    """Sums of a session or of one of its sub-agents; money is USD."""

    agent = s.CharField(help_text="claude-code, codex, gemini-cli, opencode, or chat.")
    user_id = s.CharField()
    project = s.CharField()
    started_at = s.DateTimeField()
    last_at = s.DateTimeField()
    requests = s.IntegerField()
    errors = s.IntegerField()  # type: ignore[assignment]
    cache_hits = s.IntegerField()
    unpriced = s.IntegerField(help_text="Requests whose cost is not known.")
    human_turns = s.IntegerField()
    tool_calls = s.IntegerField()
    tokens_in = s.IntegerField()
    tokens_out = s.IntegerField()
    cache_read_tokens = s.IntegerField()
    cache_write_tokens = s.IntegerField()
    cost = s.FloatField()
    savings = s.FloatField()
    prompt_cache_saved = s.FloatField()


class SubAgentBody(SessionFigures):
    """One sub-agent; ``parent`` is the sub-agent that started it, empty for the main agent."""

    id = s.CharField()
    parent = s.CharField()  # type: ignore[assignment]


class ToolCostBody(s.Serializer):
    """The calls of one tool, and the cost of the answers that called it, in USD."""

    name = s.CharField()
    calls = s.IntegerField()
    cost = s.FloatField()


class SessionCallBody(s.Serializer):
    """One call of a session."""

    request_id = s.UUIDField()
    created_at = s.DateTimeField()
    status = s.ChoiceField(RequestRecord.Status.choices)
    turn = s.ChoiceField(RequestRecord.Turn.choices, allow_blank=True)
    sub_agent = s.CharField()
    depth = s.IntegerField(help_text="0: the main agent; 1: a sub-agent of it, and so on.")
    requested_model = s.CharField()
    provider = s.CharField()
    model = s.CharField()
    reasoning = s.CharField(help_text="Why this model was chosen.")
    tokens_in = s.IntegerField()
    tokens_out = s.IntegerField()
    cache_read_tokens = s.IntegerField()
    cache_write_tokens = s.IntegerField()
    cost = s.FloatField(allow_null=True)
    savings = s.FloatField(allow_null=True)
    latency_ms = s.FloatField()
    tools_called = s.ListField(child=s.CharField())  # type: ignore[assignment]
    cache_hit = s.BooleanField()
    error_code = s.CharField()


class SessionStallBody(s.Serializer):
    """When the agent went round in circles, and what came of it."""

    request_id = s.UUIDField()
    at = s.DateTimeField()
    sub_agent = s.CharField()
    model = s.CharField(help_text="provider/model that answered until then.")
    moved_to = s.CharField(help_text="The stronger model that took over; empty if none did.")
    held_back = s.BooleanField(help_text="It stayed by lot, to compare moves with.")
    judged_at = s.DateTimeField(allow_null=True)
    progressed = s.BooleanField(allow_null=True)
    calls = s.IntegerField(help_text="The calls after it that were weighed.")
    repeated = s.IntegerField(help_text="Those of them that still repeated the same steps.")
    rating = s.FloatField(allow_null=True)
    extra_cost = s.FloatField(
        allow_null=True, help_text="USD beyond the price of the same tokens on the first model."
    )


class SessionBody(SessionFigures):
    """A session: its sums, its sub-agents, the cost of its tools, and its latest calls."""

    id = s.CharField()
    stopped_at = s.DateTimeField(allow_null=True)
    stop_reason = s.CharField()
    stalls = SessionStallBody(many=True)
    sub_agents = SubAgentBody(many=True)
    tools = ToolCostBody(many=True)
    calls = SessionCallBody(many=True)


class SessionViewSet(ReportViewSet):
    """Serves ``GET /sessions/{id}``."""

    @extend_schema(
        operation_id="session",
        summary="A session's calls and costs",
        tags=["reports"],
        parameters=[
            OpenApiParameter(
                "session_id",
                OpenApiTypes.STR,
                OpenApiParameter.PATH,
                description="The id that the agent or client sent, or X-Optimizer-Session.",
            ),
            BASELINE,
        ],
        responses={200: SessionBody, 400: ErrorBody, 404: ErrorBody},
    )
    def retrieve(self, request: Request, session_id: str) -> Response:
        """Return one session. Without the scope "read": only one of the own team or key."""
        compared = compared_with(request)
        session = session_find(session_id, tenant_of(request))
        if session is None:
            raise NotFound("There is no session with this id.")
        return Response(session_story(session, _MOST_CALLS, compared))
