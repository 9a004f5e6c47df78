"""POST /v1/messages and POST /v1/messages/count_tokens."""

from __future__ import annotations

import uuid
from typing import Any

from django.http import HttpResponseBase
from drf_spectacular.utils import OpenApiExample
from rest_framework.request import Request

from optimizer.api.anthropic.answer import message
from optimizer.api.anthropic.errors import ThreadNotHeld, error_body, thread_not_found
from optimizer.api.anthropic.reasoning import Author
from optimizer.api.anthropic.relay import MessageRelayRules
from optimizer.api.anthropic.request import continues_thread, read_message_query
from optimizer.api.anthropic.stream import MessageStreamEncoder
from optimizer.api.compat import openapi as documents
from optimizer.api.compat.chat_endpoint import ChatEndpoint, ResponseFormat, WireEndpoint
from optimizer.api.compat.response_headers import relayed_headers
from optimizer.api.compat.token_counts import TokenCountEndpoint
from optimizer.api.http.documentation import extend_schema
from optimizer.api.http.endpoint import ApiRequest, JsonReply
from optimizer.api.http.failure import Failure
from optimizer.api.http.views import EndpointViewSet
from optimizer.domain.request import GatewayRequest
from optimizer.gateway.chat_requests import ChatQuery
from providers.errors import ProviderError
from routing.models import RoutingDecision

# The headers of this API's clients that its providers get as well; never their keys.
_PASSED_ON = (
    "anthropic-beta",
    "anthropic-version",
    "anthropic-user-profile-id",
    "anthropic-dangerous-direct-browser-access",
)


class AnthropicEndpoint(WireEndpoint):
    """What the endpoints of the Anthropic API share: errors, headers, requests."""

    def error_body(self, failure: Failure, request_id: uuid.UUID) -> dict[str, Any]:
        """Return the JSON body that reports ``failure``."""
        return error_body(failure, request_id)

    def headers(self, request_id: uuid.UUID) -> dict[str, str]:
        """Return the request id in the header where this API's clients expect it."""
        return {"request-id": str(request_id)}

    def query(self, api_request: ApiRequest) -> ChatQuery:
        """Return the chat that the request asks for."""
        return read_message_query(
            api_request.data,
            api_request.header("cache-control"),
            {name: value for name in _PASSED_ON if (value := api_request.header(name))},
        )

    def failed(
        self, request_id: uuid.UUID, error: Exception, request: GatewayRequest | None = None
    ) -> JsonReply:
        """Return the reply that reports ``error``."""
        if isinstance(error, ThreadNotHeld):
            return JsonReply(thread_not_found(request_id), 404, self.headers(request_id))
        return super().failed(request_id, error, request)


class MessagesEndpoint(AnthropicEndpoint, ChatEndpoint):
    """Answers ``POST /v1/messages``."""

    name = "messages"

    def read(self, api_request: ApiRequest) -> tuple[ChatQuery, ResponseFormat]:
        """Return the chat that the request asks for, and the format of its answer."""
        query = self.query(api_request)
        if continues_thread(api_request.data) and not self._chat_requests.holds_thread(
            query.model, "anthropic"
        ):
            raise ThreadNotHeld
        return query, ResponseFormat(
            MessageRelayRules(query.model),
            lambda result: message(result, query.model, self._author(result.decision)),
            lambda stream, request: MessageStreamEncoder(
                api_request.request_id,
                query.model,
                lambda: self._author(stream.decision),
                input_tokens=request.chat.estimated_tokens(),
            ),
        )

    def _author(self, decision: RoutingDecision | None) -> Author:
        if decision is None:
            return Author("", "")
        own = self._chat_requests.wire_of(decision.provider) == "anthropic"
        return Author(decision.provider, decision.model, own)


class CountTokensEndpoint(AnthropicEndpoint, TokenCountEndpoint):
    """Answers ``POST /v1/messages/count_tokens``."""

    name = "messages/count_tokens"

    async def answer(self, api_request: ApiRequest) -> JsonReply:
        """Return the number of input tokens of the message."""
        tokens = await self.count(api_request)
        return JsonReply({"input_tokens": tokens}, headers=self.headers(api_request.request_id))

    def failed(
        self, request_id: uuid.UUID, error: Exception, request: GatewayRequest | None = None
    ) -> JsonReply:
        """Return the reply that reports ``error``; the provider's own words, where it has some."""
        if isinstance(error, ProviderError) and error.body is not None and error.status:
            headers = self.headers(request_id) | relayed_headers(error.headers, request)
            return JsonReply(error.body, error.status, headers)
        return super().failed(request_id, error, request)


class MessagesViewSet(EndpointViewSet):
    """Serves ``POST /v1/messages``."""

    endpoint = MessagesEndpoint

    @extend_schema(
        operation_id="messages",
        summary="Messages (Anthropic)",
        tags=["Anthropic"],
        request=documents.request_body({"messages": "messages"}, max_tokens="max_tokens"),
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
