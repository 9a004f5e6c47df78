"""GET /recommendation, /routing/decision and /routing/metrics."""

from __future__ import annotations

from math import isfinite
from typing import Any

from django.conf import settings
from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from analytics.database.replicas import reading_elsewhere
from optimizer.api.http.documentation import extend_schema
from optimizer.api.http.fields import StrictSerializer
from optimizer.api.http.views import AsyncViewSet, ReportViewSet, client_of, tenant_of
from optimizer.api.v1.baselines import BASELINE, compared_with
from optimizer.api.v1.schema import (
    ErrorBody,
    RecommendationBody,
    RoutingDecisionBody,
    RoutingMetricsBody,
)
from optimizer.domain.options import MAX_LATENCY_SECONDS
from providers.abilities import EFFORTS

# Servers limit a URL to 64 KiB, and a character takes up to twelve bytes of it.
_URL_CHARS = min(5000, settings.MAX_PROMPT_CHARS)
_PROMPT = OpenApiParameter(
    "prompt",
    {"type": "string", "minLength": 1, "maxLength": _URL_CHARS},
    required=True,
    description="The prompt for which a model is chosen.",
)


_MAX_LATENCY = OpenApiParameter(
    "max_latency",
    {"type": "number", "minimum": 0, "maximum": MAX_LATENCY_SECONDS},
    description="Seconds until the answer is complete. Models that are expected to take longer "
    "are excluded; if there is no faster one, the fastest is chosen.",
)
_EFFORT = OpenApiParameter(
    "effort",
    {"type": "string", "enum": list(EFFORTS)},
    description="How much the model is to reason.",
)


class _PromptQuery(StrictSerializer):
    prompt = serializers.CharField(max_length=_URL_CHARS, trim_whitespace=False)
    max_latency = serializers.FloatField(required=False, min_value=0, max_value=MAX_LATENCY_SECONDS)
    effort = serializers.ChoiceField(EFFORTS, required=False)

    def validate_max_latency(self, value: float) -> float:
        """Refuse what is not a number, which no comparison finds."""
        if not isfinite(value):
            raise serializers.ValidationError("A valid number is required.")
        return value

    def validate_prompt(self, value: str) -> str:
        """Refuse a prompt of white space alone."""
        if not value.strip():
            raise serializers.ValidationError("This field may not be blank.")
        return value


def _valid_query(serializer: type[StrictSerializer], request: Request) -> dict[str, Any]:
    query = serializer(data=request.query_params.dict())
    query.is_valid(raise_exception=True)
    return query.validated_data  # type: ignore[no-any-return]


def _wishes(query: dict[str, Any]) -> dict[str, Any]:
    return {name: query[name] for name in ("max_latency", "effort") if name in query}


class RecommendationViewSet(AsyncViewSet):
    """Serves ``GET /recommendation``."""

    @extend_schema(
        operation_id="recommendation",
        summary="Recommend a model",
        tags=["routing"],
        parameters=[_PROMPT, _MAX_LATENCY, _EFFORT],
        responses={200: RecommendationBody, 400: ErrorBody, 503: ErrorBody},
    )
    async def retrieve(self, request: Request) -> Response:
        """Return the model that hybrid routing would choose. No model is called."""
        query = _valid_query(_PromptQuery, request)
        decision = self.services.routing.get_recommendation(
            query["prompt"], **_wishes(query), client=client_of(request)
        )
        return Response(
            {
                "provider": decision.provider,
                "model": decision.model,
                "confidence": decision.confidence,
                "strategy_used": decision.strategy_used,
                "reasoning": decision.reasoning,
                "metadata": decision.metadata,
            }
        )


class RoutingDecisionViewSet(AsyncViewSet):
    """Serves ``GET /routing/decision``."""

    class QuerySerializer(_PromptQuery):
        auto_route = serializers.BooleanField(default=True)

    @extend_schema(
        operation_id="routing_decision",
        summary="Explain a decision",
        tags=["routing"],
        parameters=[
            _PROMPT,
            OpenApiParameter(
                "auto_route",
                bool,
                default=True,
                description="true: hybrid routing. false: routing by complexity.",
            ),
            _MAX_LATENCY,
            _EFFORT,
        ],
        responses={200: RoutingDecisionBody, 400: ErrorBody, 503: ErrorBody},
    )
    async def retrieve(self, request: Request) -> Response:
        """Return the decision that a completion would get, and the reasons for it."""
        query = _valid_query(self.QuerySerializer, request)
        decision = self.services.routing.previews.decide(
            query["prompt"],
            auto_route=query["auto_route"],
            **_wishes(query),
            client=client_of(request),
        )
        return Response(
            {
                "decision": {
                    "provider": decision.provider,
                    "model": decision.model,
                    "confidence": decision.confidence,
                    "strategy_used": decision.strategy_used,
                    "reasoning": decision.reasoning,
                    "fallback_used": decision.fallback_used,
                },
                "metadata": decision.metadata,
            }
        )


class RoutingMetricsViewSet(ReportViewSet):
    """Serves ``GET /routing/metrics``."""

    class QuerySerializer(StrictSerializer):
        days = serializers.IntegerField(default=7, min_value=1, max_value=365)
        baseline = serializers.CharField(default="recorded", max_length=200)

    @extend_schema(
        operation_id="routing_metrics",
        summary="Savings, strategies, confidence",
        tags=["routing"],
        parameters=[
            OpenApiParameter(
                "days", {"type": "integer", "minimum": 1, "maximum": 365, "default": 7}
            ),
            BASELINE,
        ],
        responses={200: RoutingMetricsBody, 400: ErrorBody},
    )
    @reading_elsewhere()
    def retrieve(self, request: Request) -> Response:
        """Return savings, strategies and confidence of the last days."""
        query = _valid_query(self.QuerySerializer, request)
        return Response(
            self.services.routing.get_routing_metrics(
                query["days"], tenant_of(request), compared_with(request)
            )
        )
