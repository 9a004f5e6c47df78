"""The playground: a prompt, what each strategy would choose, and answers side by side."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import reverse
from rest_framework import serializers

from analytics.models import Feedback
from analytics.quality.feedback import UnknownAnswer, feedback_record
from analytics.reports.candidate_plot import candidate_plot
from optimizer.api.http.failures import failure_of
from optimizer.api.http.fields import StrictSerializer, TextField, WholeNumberField
from optimizer.api.http.sse import EventStream, sse
from optimizer.control_room.access import staff_with
from optimizer.gateway.streaming.client_stream import ClientStream
from optimizer.lab.playground import STRATEGIES, Question, StrategyChoice, stream_messages
from optimizer.wiring.build import get_services

_SEE, _ASK = "analytics.view_routingmetric", "analytics.ask_requestrecord"
_MOST_TURNS = 50
_MOST_CHARS = 400_000


class TurnSerializer(StrictSerializer):
    role = serializers.ChoiceField(choices=("system", "user", "assistant"))
    text = TextField(max_length=_MOST_CHARS)


class QuestionSerializer(StrictSerializer):
    turns = serializers.ListField(child=TurnSerializer(), min_length=1, max_length=_MOST_TURNS)
    max_tokens = WholeNumberField(default=500, min_value=1, max_value=4000)
    model = TextField(default="auto", max_length=200)

    def validate_turns(self, turns: list[dict[str, str]]) -> list[dict[str, str]]:
        if turns[-1]["role"] != "user":
            raise serializers.ValidationError("The last turn must be the user's.")
        return turns


class RatingSerializer(StrictSerializer):
    request_id = serializers.UUIDField()
    rating = serializers.ChoiceField(choices=(-1, 0, 1))
    comment = serializers.CharField(max_length=500, allow_blank=True, default="")


def playground_page(request: HttpRequest) -> HttpResponse:
    """The form; a script on it asks the views below."""
    if not request.user.has_perm(_SEE):  # type: ignore[union-attr]
        raise PermissionDenied
    context = {
        **admin.site.each_context(request),
        "title": "Playground",
        "models": get_services().playground.models(),
        "strategies": STRATEGIES,
        "may_ask": request.user.has_perm(_ASK),  # type: ignore[union-attr]
        "decisions": reverse("admin:analytics_routingmetric_changelist"),
    }
    return TemplateResponse(request, "admin/playground.html", context)


def choices_view(request: HttpRequest) -> HttpResponse:
    """What each strategy would choose for the question in the body, as a piece of the page."""
    if not request.user.has_perm(_SEE):  # type: ignore[union-attr]
        raise PermissionDenied
    read = _read(request, QuestionSerializer)
    if isinstance(read, JsonResponse):
        return read
    choices = get_services().playground.choices(_question(read, request.user.get_username()))
    shown = render_to_string(
        "admin/playground_choices.html", {"choices": choices, "plot": _plot(choices)}
    )
    return HttpResponse(shown)


@staff_with(_ASK)
async def run_view(request: HttpRequest) -> HttpResponseBase:
    """One model's answer to the question in the body, as server-sent events: ``begun``,
    ``text`` and ``thinking`` as they come, and ``end`` or ``failed``.
    """
    read = _read(request, QuestionSerializer)
    if isinstance(read, JsonResponse):
        return read
    user = await request.auser()
    question = _question(read, user.get_username())
    try:
        _, stream, started = await get_services().playground.run(question, read["model"])
    except Exception as error:  # noqa: BLE001 - said to who asked, like any client is told
        failure = failure_of(error)
        return JsonResponse({"detail": failure.message}, status=failure.status)
    return EventStream(_told(stream, started), stream.leave, {})


def rate_view(request: HttpRequest) -> HttpResponse:
    """A verdict on an answer; it is learned from."""
    if not request.user.has_perm(_ASK):  # type: ignore[union-attr]
        raise PermissionDenied
    read = _read(request, RatingSerializer)
    if isinstance(read, JsonResponse):
        return read
    services = get_services()
    try:
        result = feedback_record(
            **read, source=Feedback.Source.OPERATOR, expect=services.expectations.expected
        )
    except UnknownAnswer as error:
        return JsonResponse({"detail": str(error)}, status=404)
    services.evidence.refresh()
    return JsonResponse({"quality_score": result.quality_score})


def _read(
    request: HttpRequest, serializer: type[StrictSerializer]
) -> dict[str, Any] | JsonResponse:
    try:
        body = json.loads(request.body)
    except (ValueError, RecursionError):
        return JsonResponse({"detail": "The body is no JSON."}, status=400)
    found = serializer(data=body)
    if not found.is_valid():
        return JsonResponse({"detail": "Bad input.", "errors": found.errors}, status=400)
    return found.validated_data  # type: ignore[no-any-return]


def _question(read: dict[str, Any], user: str) -> Question:
    turns = [(turn["role"], turn["text"]) for turn in read["turns"]]
    return Question(turns, read["max_tokens"], user)


async def _told(stream: ClientStream, started: float) -> AsyncGenerator[bytes, None]:
    try:
        async for piece in stream_messages(stream, started):
            yield sse(piece)
    except Exception as error:  # noqa: BLE001 - the status is long sent: say it in the stream
        yield sse({"type": "failed", "detail": failure_of(error).message})
    finally:
        stream.leave()


def _plot(choices: list[StrategyChoice]) -> dict[str, Any]:
    """The candidates of the strategy that expects the most of them."""
    considered: list[list[dict[str, Any]]] = [
        choice.decision.metadata["candidates"] for choice in choices if choice.decision
    ]
    best: list[dict[str, Any]] = max(considered, key=_judged, default=[])
    return candidate_plot(best)


def _judged(candidates: list[dict[str, Any]]) -> int:
    return sum(one["expected_quality"] is not None for one in candidates)
