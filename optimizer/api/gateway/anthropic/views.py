"""POST /v1/messages and POST /v1/messages/count_tokens."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponseBase
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from optimizer.api.clients import client_of
from optimizer.api.gateway import documents
from optimizer.api.gateway.answering import answer
from optimizer.api.gateway.anthropic.answer import message
from optimizer.api.gateway.anthropic.errors import error_body
from optimizer.api.gateway.anthropic.request import read_message_query
from optimizer.api.gateway.anthropic.stream import MessageTeller
from optimizer.api.gateway.failures import Failure
from optimizer.api.gateway.views import GatewayViewSet, request_id_of
from optimizer.composition import get_services
from optimizer.services.gateway import ChatQuery


class AnthropicViewSet(GatewayViewSet):
    def error_body(self, failure: Failure) -> dict[str, Any]:
        return error_body(failure, request_id_of(self.request))

    def query(self, request: Request, *, counting: bool = False) -> ChatQuery:
        return read_message_query(
            request.data,
            self.header(request, "Cache-Control"),
            self.header(request, "anthropic-beta"),
            counting=counting,
        )

    def finalize_response(
        self, request: Request, response: Any, *args: Any, **kwargs: Any
    ) -> HttpResponseBase:
        # Where this API's clients look for it.
        response["request-id"] = str(request_id_of(request))
        return super().finalize_response(request, response, *args, **kwargs)


class MessagesViewSet(AnthropicViewSet):
    """Messages as Anthropic specifies them, by whichever model is chosen or named."""

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
        services = get_services()
        request_id = request_id_of(request)
        ask = services.gateway.ask(
            self.query(request),
            endpoint="messages",
            request_id=request_id,
            client=client_of(request),
        )
        self.ask = ask
        return await answer(
            services.routing,
            ask,
            message,
            lambda stream: MessageTeller(
                request_id,
                stream.decision.model,
                input_tokens=ask.chat.estimated_tokens(),
            ),
        )


class CountTokensViewSet(AnthropicViewSet):
    """A message's input tokens, before it is sent. Costs nothing and is not recorded."""

    @extend_schema(
        operation_id="count_tokens",
        summary="Count a message's tokens (Anthropic)",
        tags=["Anthropic"],
        request=documents.request_body({"messages": "messages"}),
        responses=documents.ANTHROPIC_RESPONSES,
    )
    async def create(self, request: Request) -> Response:
        query = self.query(request, counting=True)
        return Response({"input_tokens": await get_services().gateway.count_tokens(query)})
