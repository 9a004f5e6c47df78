"""POST /v1/messages and POST /v1/messages/count_tokens."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import replace
from typing import Any, Self

from django.http import HttpResponseBase
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.request import Request

from optimizer.api.anthropic.answer import message
from optimizer.api.anthropic.errors import error_body
from optimizer.api.anthropic.relay import MessageRelayRules
from optimizer.api.anthropic.request import read_message_query
from optimizer.api.anthropic.stream import MessageStreamEncoder
from optimizer.api.compat import openapi as documents
from optimizer.api.compat.chat_endpoint import ChatEndpoint, ResponseFormat, WireEndpoint
from optimizer.api.http.endpoint import ApiRequest, JsonReply
from optimizer.api.http.errors import Failure
from optimizer.api.http.views import EndpointViewSet
from optimizer.gateway.chat_requests import ChatQuery, ChatRequestBuilder
from optimizer.wiring.services import Services


class AnthropicEndpoint(WireEndpoint):
    """What the endpoints of the Anthropic API share: errors, headers, requests."""

    def error_body(self, failure: Failure, request_id: uuid.UUID) -> dict[str, Any]:
        """Return the JSON body that reports ``failure``."""
        return error_body(failure, request_id)

    def headers(self, request_id: uuid.UUID) -> dict[str, str]:
        """Return the request id in the header where this API's clients expect it."""
        return {"request-id": str(request_id)}

    @staticmethod
    def query(api_request: ApiRequest, *, counting: bool = False) -> ChatQuery:
        """Return the chat that the request asks for; ``counting`` needs no ``max_tokens``."""
        return read_message_query(
            api_request.data,
            api_request.header("cache-control"),
            api_request.header("anthropic-beta"),
            counting=counting,
        )


class MessagesEndpoint(AnthropicEndpoint, ChatEndpoint):
    """Answers ``POST /v1/messages``."""

    name = "messages"

    def read(self, api_request: ApiRequest) -> tuple[ChatQuery, ResponseFormat]:
        """Return the chat that the request asks for, and the format of its answer."""
        query = self.query(api_request)
        return query, ResponseFormat(
            MessageRelayRules(query.model),
            lambda result: message(result, query.model),
            lambda stream, request: MessageStreamEncoder(
                api_request.request_id,
                query.model,
                input_tokens=request.chat.estimated_tokens(),
            ),
        )


class CountTokensEndpoint(AnthropicEndpoint):
    """Answers ``POST /v1/messages/count_tokens``."""

    name = "messages/count_tokens"

    def __init__(self, chat_requests: ChatRequestBuilder) -> None:
        self._chat_requests = chat_requests

    @classmethod
    def of(cls, services: Services) -> Self:
        """Build the endpoint with what it needs of ``services``."""
        return cls(services.chat_requests)

    async def answer(self, api_request: ApiRequest) -> JsonReply:
        """Return the number of input tokens of the message."""
        if api_request.large:
            query = await asyncio.to_thread(self._large_query, api_request)
        else:
            query = self.query(api_request, counting=True)
        tokens = await self._chat_requests.count_tokens(query)
        return JsonReply({"input_tokens": tokens}, headers=self.headers(api_request.request_id))

    def _large_query(self, api_request: ApiRequest) -> ChatQuery:
        query = self.query(api_request, counting=True)
        return replace(query, chat=query.chat.as_large())


class MessagesViewSet(EndpointViewSet):
    """Serves ``POST /v1/messages``."""

    endpoint = MessagesEndpoint

    @extend_schema(
        operation_id="messages",
        summary="Messages (Anthropic)",
        tags=["Anthropic"],
        request=documents.request_body({"max_tokens": "max_tokens", "messages": "messages"}),
        responses=documents.ANTHROPIC_STREAMS,
        examples=[
            OpenApiExample(
                "A question",
                value={
                    "model": "auto",
                    "max_tokens": 500,
                    "messages": [{"role": "user", "content": "What is the capital of France?"}],
                },
                request_only=True,
            )
        ],
    )
    async def create(self, request: Request) -> HttpResponseBase:
        """Answer a message as Anthropic's API does, with the model named or a chosen one."""
        return await self.serve(request)


class CountTokensViewSet(EndpointViewSet):
    """Serves ``POST /v1/messages/count_tokens``."""

    endpoint = CountTokensEndpoint

    @extend_schema(
        operation_id="count_tokens",
        summary="Count a message's tokens (Anthropic)",
        tags=["Anthropic"],
        request=documents.request_body({"messages": "messages"}),
        responses=documents.ANTHROPIC_RESPONSES,
    )
    async def create(self, request: Request) -> HttpResponseBase:
        """Count a message's input tokens. This is free and not recorded."""
        return await self.serve(request)
