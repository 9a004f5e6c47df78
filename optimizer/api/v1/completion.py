"""POST /complete."""

from __future__ import annotations

from django.http import HttpResponseBase
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.request import Request

from optimizer.api.http.views import EndpointViewSet
from optimizer.api.v1.complete import COMPLETE
from optimizer.api.v1.complete_input import CompleteInput
from optimizer.api.v1.schema import CompleteBody, ErrorBody


class CompletionViewSet(EndpointViewSet):
    """Answers a prompt with the cheapest model that is good enough."""

    endpoint = COMPLETE

    @extend_schema(
        operation_id="complete",
        summary="Complete a prompt",
        tags=["completion"],
        request=CompleteInput,
        responses={
            200: CompleteBody,
            400: ErrorBody,
            413: ErrorBody,
            415: ErrorBody,
            503: ErrorBody,
            504: ErrorBody,
        },
        examples=[
            OpenApiExample(
                "A question",
                value={"prompt": "What is the capital of France?"},
                request_only=True,
            ),
            OpenApiExample(
                "Learned routing",
                value={
                    "prompt": "Compare two designs for a rate limiter.",
                    "max_tokens": 800,
                    "auto_route": True,
                },
                request_only=True,
            ),
            OpenApiExample(
                "An answer",
                value={
                    "response": "The capital of France is Paris.",
                    "provider": "claude",
                    "model": "claude-haiku-5-5",
                    "strategy_used": "complexity",
                    "confidence": "high",
                    "complexity_metadata": {"complexity": 0.0, "token_count": 8},
                    "routing_metadata": {"pattern": "factual", "tier": "simple"},
                    "tokens_in": 14,
                    "tokens_out": 9,
                    "cost": 0.0000059,
                    "total_cost_today": 0.0000059,
                    "cache_hit": False,
                    "cache_key": "0d6c…",
                    "original_cost": 0.0000059,
                    "savings": 0.0,
                    "request_id": "019ab2f4-55a1-7c3e-9d5a-0b1f7b0f1d11",
                },
                response_only=True,
                status_codes=["200"],
            ),
        ],
    )
    async def create(self, request: Request) -> HttpResponseBase:
        return await self.serve(request)
