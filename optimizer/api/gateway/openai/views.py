"""POST /v1/chat/completions and GET /v1/models."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponseBase
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from optimizer.api.clients import client_of
from optimizer.api.gateway import documents
from optimizer.api.gateway.answering import answer
from optimizer.api.gateway.failures import Failure
from optimizer.api.gateway.openai.chat_answer import chat_completion
from optimizer.api.gateway.openai.chat_request import read_chat_query
from optimizer.api.gateway.openai.chat_stream import ChatTeller
from optimizer.api.gateway.openai.errors import error_body
from optimizer.api.gateway.openai.models import model_body, model_list
from optimizer.api.gateway.views import GatewayViewSet, request_id_of
from optimizer.composition import get_services


class OpenAIViewSet(GatewayViewSet):
    def error_body(self, failure: Failure) -> dict[str, Any]:
        return error_body(failure)


class ChatCompletionsViewSet(OpenAIViewSet):
    """Chat completions as OpenAI specifies them, by whichever model is chosen or named."""

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
        services = get_services()
        query, with_usage = read_chat_query(request.data, self.header(request, "Cache-Control"))
        request_id = request_id_of(request)
        ask = services.gateway.ask(
            query, endpoint="chat/completions", request_id=request_id, client=client_of(request)
        )
        self.ask = ask
        return await answer(
            services.routing,
            ask,
            chat_completion,
            lambda stream: ChatTeller(request_id, stream.decision.model, with_usage=with_usage),
        )


class ModelsViewSet(OpenAIViewSet):
    """The names that a request may give as its model."""

    @extend_schema(
        operation_id="models",
        summary="List models (OpenAI)",
        tags=["OpenAI"],
        responses={200: documents.ANY_OBJECT},
    )
    async def retrieve(self, request: Request) -> Response:
        return Response(model_list(get_services().gateway.names))

    @extend_schema(
        operation_id="model",
        summary="Describe a model (OpenAI)",
        tags=["OpenAI"],
        responses=documents.OPENAI_RESPONSES,
    )
    async def describe(self, request: Request, name: str) -> Response:
        return Response(model_body(get_services().gateway.names, name))
