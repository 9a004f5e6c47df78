"""POST /complete."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_serializer
from rest_framework.request import Request
from rest_framework.response import Response

from optimizer.api.asynchronous import AsyncViewSet
from optimizer.api.clients import client_of
from optimizer.api.fields import StrictSerializer, TextField, TruthField, WholeNumberField
from optimizer.api.schema import CompleteBody, ErrorBody
from optimizer.composition import get_services
from optimizer.services.results import CompletionResult
from optimizer.services.tokenization import TokenizerCount, count_with_tokenizer


class CompletionViewSet(AsyncViewSet):
    """Answers a prompt with the cheapest model that is good enough."""

    @extend_schema_serializer(component_name="CompleteInput")
    class InputSerializer(StrictSerializer):
        """A prompt, and how it may be answered."""

        prompt = TextField(
            max_length=settings.MAX_PROMPT_CHARS, help_text="What to ask; at least one character."
        )
        max_tokens = WholeNumberField(
            default=1000, min_value=1, max_value=4000, help_text="Longest completion, in tokens."
        )
        auto_route = TruthField(
            default=False,
            help_text="true: hybrid routing, which learns; false: by complexity alone. An API key "
            "may have true for its default.",
        )
        tokenizer_id = TextField(
            required=False,
            max_length=200,
            help_text="A Hugging Face tokenizer to count with as well, if it is at hand.",
        )

    @extend_schema(
        operation_id="complete",
        summary="Complete a prompt",
        tags=["completion"],
        request=InputSerializer,
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
    async def create(self, request: Request) -> Response:
        serializer = self.InputSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        query = serializer.validated_data
        client = client_of(request)
        said = "auto_route" in request.data
        result = await get_services().routing.route_and_complete(
            query["prompt"],
            max_tokens=query["max_tokens"],
            auto_route=query["auto_route"] if said else client.auto_route,
            request_id=request._request.request_id,  # type: ignore[attr-defined]
            client=client,
        )
        body = completion_body(result)
        if tokenizer_id := query.get("tokenizer_id"):
            count = await get_services().in_background(
                count_with_tokenizer,
                tokenizer_id,
                query["prompt"],
                result.response,
                Path(settings.TOKENIZERS_DIR),
            )
            assert isinstance(count, TokenizerCount)
            body.update(tokenizer_body(count))
        return Response(body)


def completion_body(result: CompletionResult) -> dict[str, Any]:
    """The JSON answer of ``POST /complete``."""
    decision = result.decision
    return {
        "response": result.response,
        "provider": result.provider,
        "model": result.model,
        "strategy_used": decision.strategy_used,
        "confidence": decision.confidence,
        "complexity_metadata": {
            "complexity": result.complexity,
            "token_count": result.token_count,
        },
        "routing_metadata": {
            **decision.metadata,
            "reasoning": decision.reasoning,
            "fallback_used": decision.fallback_used,
        },
        "tokens_in": result.tokens_in,
        "tokens_out": result.tokens_out,
        "cost": result.cost,
        "total_cost_today": result.total_cost_today,
        "cache_hit": result.cache_hit,
        "cache_key": result.cache_key,
        "original_cost": result.original_cost,
        "savings": result.savings,
        "request_id": result.request_id,
    }


def tokenizer_body(count: TokenizerCount) -> dict[str, Any]:
    """What a ``tokenizer_id`` adds to the answer."""
    body: dict[str, Any] = {
        "tokenizer_tokens_in": count.tokens_in,
        "tokenizer_tokens_out": count.tokens_out,
        "tokenizer_bytes_per_token": count.bytes_per_token,
        "tokenizer_tokens_per_byte": count.tokens_per_byte,
    }
    if count.note:
        body["tokenizer_note"] = count.note
    return body
