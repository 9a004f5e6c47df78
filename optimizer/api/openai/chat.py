"""POST /v1/chat/completions."""

from __future__ import annotations

import uuid
from functools import partial
from typing import Any

from django.http import HttpResponseBase
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.request import Request

from optimizer.api.compat import openapi as documents
from optimizer.api.compat.chat_endpoint import ChatEndpoint, ResponseFormat, WireEndpoint
from optimizer.api.http.endpoint import ApiRequest
from optimizer.api.http.errors import Failure
from optimizer.api.http.views import EndpointViewSet
from optimizer.api.openai.chat_answer import chat_completion
from optimizer.api.openai.chat_relay import ChatRelayRules
from optimizer.api.openai.chat_request import read_chat_query
from optimizer.api.openai.chat_stream import ChatStreamEncoder
from optimizer.api.openai.errors import error_body
from optimizer.gateway.chat_requests import ChatQuery
from optimizer.gateway.streaming.client_stream import ClientStream


class OpenAIEndpoint(WireEndpoint):
    """What the endpoints of the OpenAI API share: the error format."""

    def error_body(self, failure: Failure, request_id: uuid.UUID) -> dict[str, Any]:
        """Return the JSON body that reports ``failure``."""
        return error_body(failure)


class ChatCompletionsEndpoint(OpenAIEndpoint, ChatEndpoint):
    """Answers ``POST /v1/chat/completions``."""

    name = "chat/completions"

    def read(self, api_request: ApiRequest) -> tuple[ChatQuery, ResponseFormat]:
        """Return the chat that the request asks for, and the format of its answer."""
        query, with_usage = read_chat_query(api_request.data, api_request.header("cache-control"))
        legacy = bool(api_request.data.get("functions")) and not api_request.data.get("tools")
        return query, ResponseFormat(
            ChatRelayRules(with_usage=with_usage),
            partial(chat_completion, legacy=legacy) if legacy else chat_completion,
            lambda stream, _: ChatStreamEncoder(
                api_request.request_id,
                stream.model(query.model),
                with_usage=with_usage,
                author=lambda: _author_of(stream),
                legacy=legacy,
            ),
        )


def _author_of(stream: ClientStream) -> tuple[str, str]:
    """Return the (provider, model) that answers; empty texts if it is not known yet."""
    decision = stream.decision
    return ("", "") if decision is None else (decision.provider, decision.model)


class ChatCompletionsViewSet(EndpointViewSet):
    """Serves ``POST /v1/chat/completions``."""

    endpoint = ChatCompletionsEndpoint

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
        """Answer a chat as OpenAI's API does, with the model named or a chosen one."""
        return await self.serve(request)
