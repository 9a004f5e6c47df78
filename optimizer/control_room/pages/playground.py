"""The playground: the choice of each strategy for a prompt, and answers side by side."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import reverse
from rest_framework import serializers

from analytics.access.prompt_rights import MAY_VIEW_PROMPTS
from analytics.models import Feedback, RequestRecord
from analytics.quality.feedback import UnknownAnswer, feedback_record
from analytics.reports.plots import candidate_plot
from optimizer.api.http.errors import failure_of
from optimizer.api.http.fields import StrictIntegerField, StrictSerializer, StrictTextField
from optimizer.api.http.sse import EventStream, sse
from optimizer.control_room.access import staff_permission_required
from optimizer.gateway.streaming.client_stream import ClientStream
from optimizer.lab.playground import STRATEGIES, Question, StrategyChoice, stream_messages
from optimizer.wiring.build import get_services

PLAYGROUND_RIGHTS = ("analytics.view_routingmetric", MAY_VIEW_PROMPTS)
MAY_ASK = "analytics.ask_requestrecord"
_MAX_TURNS = 50
_MAX_CHARS = 400_000
_USUAL_TOKENS, _MAX_TOKENS = 500, 4000


class TurnSerializer(StrictSerializer):
    """One turn of the conversation."""

    role = serializers.ChoiceField(choices=("system", "user", "assistant"))
    text = StrictTextField(max_length=_MAX_CHARS)


class QuestionSerializer(StrictSerializer):
    """A conversation whose last turn is the prompt, and the model to ask."""

    turns = serializers.ListField(child=TurnSerializer(), min_length=1, max_length=_MAX_TURNS)
    max_tokens = StrictIntegerField(default=_USUAL_TOKENS, min_value=1, max_value=_MAX_TOKENS)
    model = StrictTextField(default="auto", max_length=200)

    def validate_turns(self, turns: list[dict[str, str]]) -> list[dict[str, str]]:
        """Check that the last turn is the user's."""
        if turns[-1]["role"] != "user":
            raise serializers.ValidationError("The last turn must be the user's.")
        return turns


class ChoicesSerializer(QuestionSerializer):
    """A question, and among which models to decide."""

    among = serializers.ChoiceField(choices=("configured", "catalogue"), default="configured")


class RatingSerializer(StrictSerializer):
    """A rating of one answer: -1 bad, 0 neutral, 1 good."""

    request_id = serializers.UUIDField()
    rating = serializers.ChoiceField(choices=(-1, 0, 1))
    comment = serializers.CharField(max_length=500, allow_blank=True, default="")


def playground_page(request: HttpRequest) -> HttpResponse:
    """Show the form; a script on it calls the views below.

    The address may name a ``request`` whose prompt is asked again, and the ``model`` to ask.
    """
    if not request.user.has_perms(PLAYGROUND_RIGHTS):  # type: ignore[union-attr]
        raise PermissionDenied
    playground = get_services().playground
    models = playground.models()
    picked = request.GET.get("model", "")
    again = _asked_before(request.GET.get("request", ""))
    context = {
        **admin.site.each_context(request),
        "title": "Playground",
        "models": models,
        "picked": picked if picked in models else models[0],
        "again": again,
        "max_tokens": min((again and again.max_tokens) or _USUAL_TOKENS, _MAX_TOKENS),
        "configured": playground.configured(),
        "strategies": STRATEGIES,
        "may_ask": request.user.has_perm(MAY_ASK),  # type: ignore[union-attr]
        "decisions": reverse("admin:analytics_routingmetric_changelist"),
    }
    return TemplateResponse(request, "admin/playground.html", context)


def _asked_before(request_id: str) -> RequestRecord | None:
    """Return the request of this id, if its prompt is stored."""
    try:
        record = RequestRecord.objects.filter(pk=UUID(request_id)).first()
    except ValueError:
        return None
    return record if record is not None and record.prompt else None


def choices_view(request: HttpRequest) -> HttpResponse:
    """Return what each strategy would choose for the question in the body, as HTML."""
    if not request.user.has_perms(PLAYGROUND_RIGHTS):  # type: ignore[union-attr]
        raise PermissionDenied
    data = _validated(request, ChoicesSerializer)
    if isinstance(data, JsonResponse):
        return data
    question = _question(data, request.user.get_username())
    over_catalogue = data["among"] == "catalogue"
    choices = get_services().playground.choices(question, whole_catalogue=over_catalogue)
    context = {"choices": choices, "plot": _plot(choices), "over_catalogue": over_catalogue}
    html = render_to_string("admin/playground_choices.html", context)
    return HttpResponse(html)


@staff_permission_required(MAY_ASK)
async def run_view(request: HttpRequest) -> HttpResponseBase:
    """Stream one model's answer to the question in the body as server-sent events.

    The events are ``begun``, then ``text`` and ``thinking`` as they arrive, then ``end`` or
    ``failed``.
    """
    data = _validated(request, QuestionSerializer)
    if isinstance(data, JsonResponse):
        return data
    user = await request.auser()
    question = _question(data, user.get_username())
    try:
        _, stream, started = await get_services().playground.run(question, data["model"])
    except Exception as error:  # noqa: BLE001 - the caller gets it as an API client would
        failure = failure_of(error)
        return JsonResponse({"detail": failure.message}, status=failure.status)
    return EventStream(_event_stream(stream, started), stream.leave, {})


def rate_view(request: HttpRequest) -> HttpResponse:
    """Record a rating of an answer; routing learns from it."""
    if not request.user.has_perm(MAY_ASK):  # type: ignore[union-attr]
        raise PermissionDenied
    data = _validated(request, RatingSerializer)
    if isinstance(data, JsonResponse):
        return data
    services = get_services()
    try:
        result = feedback_record(
            **data, source=Feedback.Source.OPERATOR, expect=services.expectations.expected
        )
    except UnknownAnswer as error:
        return JsonResponse({"detail": str(error)}, status=404)
    services.evidence.refresh()
    return JsonResponse({"quality_score": result.quality_score})


def _validated(
    request: HttpRequest, serializer: type[StrictSerializer]
) -> dict[str, Any] | JsonResponse:
    try:
        body = json.loads(request.body)
    except (ValueError, RecursionError):
        return JsonResponse({"detail": "The body is not valid JSON."}, status=400)
    bound = serializer(data=body)
    if not bound.is_valid():
        return JsonResponse({"detail": "Invalid input.", "errors": bound.errors}, status=400)
    return bound.validated_data  # type: ignore[no-any-return]


def _question(data: dict[str, Any], user: str) -> Question:
    turns = [(turn["role"], turn["text"]) for turn in data["turns"]]
    return Question(turns, data["max_tokens"], user)


async def _event_stream(stream: ClientStream, started: float) -> AsyncGenerator[bytes, None]:
    try:
        async for piece in stream_messages(stream, started):
            yield sse(piece)
    except Exception as error:  # noqa: BLE001 - the status line is already sent
        yield sse({"type": "failed", "detail": failure_of(error).message})
    finally:
        stream.leave()


def _plot(choices: list[StrategyChoice]) -> dict[str, Any]:
    """Plot the candidates of the strategy that has an expected quality for the most of them."""
    candidate_lists: list[list[dict[str, Any]]] = [
        choice.decision.metadata["candidates"] for choice in choices if choice.decision
    ]
    candidates: list[dict[str, Any]] = max(candidate_lists, key=_count_with_quality, default=[])
    return candidate_plot(candidates)


def _count_with_quality(candidates: list[dict[str, Any]]) -> int:
    return sum(candidate["expected_quality"] is not None for candidate in candidates)
