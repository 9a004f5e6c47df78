"""POST /feedback."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from analytics.quality.feedback import FeedbackResult, feedback_record
from optimizer.api.http.documentation import extend_schema
from optimizer.api.http.fields import (
    StrictIntegerField,
    StrictNumberField,
    StrictSerializer,
    StrictTextField,
)
from optimizer.api.http.views import SyncViewSet, client_of
from optimizer.api.v1.schema import ErrorBody, FeedbackBody


class FeedbackViewSet(SyncViewSet):
    """Serves ``POST /feedback``."""

    @extend_schema_serializer(component_name="FeedbackInput")
    class InputSerializer(StrictSerializer):
        """A rating of one answer."""

        request_id = serializers.UUIDField(
            required=False, help_text="The request that was answered. Give this or cache_key."
        )
        cache_key = serializers.RegexField(
            r"^[0-9a-f]{64}$",
            required=False,
            help_text="The cached answer. Give this or request_id.",
        )
        rating = StrictIntegerField(required=False, min_value=-1, max_value=1)
        score = StrictNumberField(required=False, min_value=0, max_value=1)
        comment = StrictTextField(required=False, max_length=500, allow_blank=True, default="")

        def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
            """Require exactly one answer and exactly one rating."""
            if ("request_id" in attrs) == ("cache_key" in attrs):
                raise serializers.ValidationError(
                    {"request_id": "Give exactly one of request_id and cache_key."}
                )
            if ("rating" in attrs) == ("score" in attrs):
                raise serializers.ValidationError(
                    {"rating": "Give exactly one of rating (-1, 0 or 1) and score (0 to 1)."}
                )
            return attrs

    @extend_schema(
        operation_id="feedback",
        summary="Rate an answer",
        tags=["quality"],
        request=InputSerializer,
        responses={200: FeedbackBody, 400: ErrorBody, 404: ErrorBody},
        examples=[
            OpenApiExample(
                "Thumbs up",
                value={"request_id": "019ab2f4-55a1-7c3e-9d5a-0b1f7b0f1d11", "rating": 1},
                request_only=True,
            ),
            OpenApiExample(
                "A score",
                value={"cache_key": "0" * 64, "score": 0.4, "comment": "Half of it is right."},
                request_only=True,
            ),
        ],
    )
    def create(self, request: Request) -> Response:
        """Rate an answer. Routing learns from the rating."""
        serializer = self.InputSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        services = self.services
        client = client_of(request)
        result = feedback_record(
            **serializer.validated_data,
            expect=services.expectations.expected,
            tenant=client.tenant,
            voter=client.key,
        )
        services.evidence.refresh()
        return Response(
            {
                "success": True,
                "quality_score": result.quality_score,
                "invalidated": result.invalidated,
                "message": _message(result),
            }
        )


def _message(result: FeedbackResult) -> str:
    if result.invalidated:
        return "Thank you. This answer was rated too low and is no longer served from the cache."
    votes = "1 vote" if result.votes == 1 else f"{result.votes} votes"
    return f"Thank you. This answer's quality is {result.quality_score:.2f} after {votes}."
