"""POST /v1/chat/completions and GET /v1/models."""

from __future__ import annotations

from django.http import HttpResponseBase
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from optimizer.api.compat import openapi as documents
from optimizer.api.http.views import EndpointViewSet
from optimizer.api.openai.chat import CHAT
from optimizer.api.openai.model_list import model_body, model_list
from optimizer.wiring.build import get_services


class ChatCompletionsViewSet(EndpointViewSet):
    """Chat completions as OpenAI specifies them, by whichever model is chosen or named."""

    endpoint = CHAT

    @extend_schema(
        operation_id="chat_completions",
        summary="Chat completions (OpenAI)",
        tags=["OpenAI"],
        request=documents.request_body({"messages": "messages"}),
        responses=documents.OPENAI_STREAMS,
        examples=[
            OpenApiExample(
                "A question",
                value={
                    "model": "auto",
                    "messages": [{"role": "user", "content": "What is the capital of France?"}],
                },
                request_only=True,
            ),
            OpenApiExample(
                "Streamed, with a target and tags",
                value={
                    "model": "auto",
                    "messages": [{"role": "user", "content": "Compare B-trees and LSM trees."}],
                    "stream": True,
                    "stream_options": {"include_usage": True},
                    "optimizer": {"quality_target": 0.8, "max_cost": 0.01, "tags": ["docs"]},
                },
                request_only=True,
            ),
        ],
    )
    async def create(self, request: Request) -> HttpResponseBase:
        return await self.serve(request)


class ModelsViewSet(EndpointViewSet):
    """The names that a request may give as its model."""

    endpoint = CHAT  # whose errors it shares

    @extend_schema(
        operation_id="models",
        summary="List models (OpenAI)",
        tags=["OpenAI"],
        responses={200: documents.ANY_OBJECT},
    )
    async def retrieve(self, request: Request) -> Response:
        return Response(model_list(get_services().chat_requests.names))

    @extend_schema(
        operation_id="model",
        summary="Describe a model (OpenAI)",
        tags=["OpenAI"],
        responses=documents.OPENAI_RESPONSES,
    )
    async def describe(self, request: Request, name: str) -> Response:
        return Response(model_body(get_services().chat_requests.names, name))
