"""POST /v1/messages and POST /v1/messages/count_tokens."""

from __future__ import annotations

from django.http import HttpResponseBase
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.request import Request

from optimizer.api.anthropic.messages import COUNT_TOKENS, MESSAGES
from optimizer.api.compat import openapi as documents
from optimizer.api.http.views import EndpointViewSet


class MessagesViewSet(EndpointViewSet):
    """Messages as Anthropic specifies them, by whichever model is chosen or named."""

    endpoint = MESSAGES

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
        return await self.serve(request)


class CountTokensViewSet(EndpointViewSet):
    """A message's input tokens, before it is sent. Costs nothing and is not recorded."""

    endpoint = COUNT_TOKENS

    @extend_schema(
        operation_id="count_tokens",
        summary="Count a message's tokens (Anthropic)",
        tags=["Anthropic"],
        request=documents.request_body({"messages": "messages"}),
        responses=documents.ANTHROPIC_RESPONSES,
    )
    async def create(self, request: Request) -> HttpResponseBase:
        return await self.serve(request)
