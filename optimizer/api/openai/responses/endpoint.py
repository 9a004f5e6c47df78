"""POST /v1/responses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Self

from django.http import HttpResponseBase
from drf_spectacular.utils import OpenApiExample
from rest_framework.request import Request

from optimizer.api.compat import openapi as documents
from optimizer.api.compat.chat_endpoint import ChatEndpoint, ResponseFormat
from optimizer.api.compat.stream_encoder import StreamEncoder
from optimizer.api.http.documentation import extend_schema
from optimizer.api.http.endpoint import ApiRequest, Reply
from optimizer.api.http.views import EndpointViewSet
from optimizer.api.openai.chat import OpenAIEndpoint
from optimizer.api.openai.responses.answer import ResponseFrame
from optimizer.api.openai.responses.relay import ResponseRelayRules
from optimizer.api.openai.responses.request import read_response_query
from optimizer.api.openai.responses.stream import ResponseStreamEncoder
from optimizer.budgets.brakes import SessionBrakes
from optimizer.domain.client import ANONYMOUS, Client
from optimizer.domain.request import GatewayRequest
from optimizer.domain.result import CompletionResult, UnknownObject
from optimizer.gateway.chat_requests import ChatQuery, ChatRequestBuilder
from optimizer.gateway.deferred.acceptance import Deferral
from optimizer.gateway.provider_objects.objects import Kind, ProviderObjects
from optimizer.gateway.provider_objects.stored_responses import StoredResponses, is_own_response
from optimizer.gateway.service import RoutingService
from optimizer.gateway.streaming.client_stream import ClientStream
from optimizer.wiring.services import Services


class ResponsesEndpoint(OpenAIEndpoint, ChatEndpoint):
    """Answers ``POST /v1/responses``."""

    name = "responses"

    def __init__(
        self,
        chat_requests: ChatRequestBuilder,
        routing: RoutingService,
        stored: StoredResponses,
        objects: ProviderObjects,
        brakes: SessionBrakes,
        deferral: Deferral,
    ) -> None:
        super().__init__(chat_requests, routing, objects, brakes, deferral)
        self._stored = stored

    @classmethod
    def of(cls, services: Services) -> Self:
        """Build the endpoint with what it needs of ``services``."""
        return cls(
            services.chat_requests,
            services.routing,
            services.stored_responses,
            services.provider_objects,
            services.brakes,
            services.deferral,
        )

    async def answer(self, api_request: ApiRequest) -> Reply:
        """Return the reply; what the request refers to is put in its place before."""
        try:
            await self.check_owner(api_request)
            continued = await self._continued(api_request)
            data = await self._stored.resolved(api_request.data, api_request.client)
        except Exception as error:  # noqa: BLE001 - reported in the API's format
            return self.failed(api_request.request_id, error)
        if data is not api_request.data:
            api_request = replace(api_request, data=data, sent=api_request.data)
        if continued:
            api_request = replace(api_request, continued=continued)
        return await super().answer(api_request)

    async def _continued(self, api_request: ApiRequest) -> str:
        """Return the session of the response that the request goes on from."""
        data = api_request.data
        previous = data.get("previous_response_id") if isinstance(data, Mapping) else None
        # What this service stores is put in its place, so the conversation's beginning is there.
        if not isinstance(previous, str) or not previous or is_own_response(previous):
            return ""
        return await self._objects.session_of_response(previous, api_request.client)

    async def check_owner(self, api_request: ApiRequest) -> None:
        """Check that what OpenAI stores and the request continues is the client's own."""
        data = api_request.data
        if api_request.client is ANONYMOUS or not isinstance(data, Mapping):
            return
        previous = data.get("previous_response_id")
        if isinstance(previous, str) and previous and not is_own_response(previous):
            await self._must_own(Kind.RESPONSE, previous, api_request.client)
        conversation = data.get("conversation")
        if isinstance(conversation, Mapping):
            conversation = conversation.get("id")
        if isinstance(conversation, str) and conversation:
            await self._must_own(Kind.CONVERSATION, conversation, api_request.client)

    async def _must_own(self, kind: Kind, object_id: str, client: Client) -> None:
        if object_id in await self._objects.own(kind, [object_id], client):
            return
        if kind == Kind.RESPONSE:
            raise UnknownObject(
                f"Previous response with id '{object_id}' not found.",
                "previous_response_id",
                "previous_response_not_found",
            )
        raise UnknownObject(f"Conversation with id '{object_id}' not found.", "conversation")

    def read(self, api_request: ApiRequest) -> tuple[ChatQuery, ResponseFormat]:
        """Return the chat that the request asks for, and the format of its answer."""
        query = read_response_query(api_request.data, api_request.header("cache-control"))
        sent = api_request.data if api_request.sent is None else api_request.sent
        stores = sent.get("store") is not False
        frame = ResponseFrame(api_request.request_id, sent, stored=stores and self._stored.on)
        encoders: list[ResponseStreamEncoder] = []

        def encoder(stream: ClientStream, request: GatewayRequest) -> StreamEncoder:
            encoders.append(ResponseStreamEncoder(frame, stream.model(query.model)))
            return encoders[-1]

        async def keep(
            result: CompletionResult, body: Mapping[str, Any] | None, relayed: bool
        ) -> None:
            if relayed:
                given = body or {"id": result.completion.response_id, "status": "completed"}
                await self._objects.response_given(
                    result.provider, result.model, given, api_request.client, result.request_id
                )
            elif self._stored.on:
                given = body or encoders[0].whole(result)
                await self._stored.keep(given, sent, api_request.client)

        form = ResponseFormat(
            ResponseRelayRules(), frame.whole, encoder, keep=keep if stores else None
        )
        return query, form


class ResponsesViewSet(EndpointViewSet):
    """Serves ``POST /v1/responses``."""

    endpoint = ResponsesEndpoint

    @extend_schema(
        operation_id="responses",
        summary="Responses (OpenAI)",
        tags=["OpenAI"],
        request=documents.request_body({}, input="text"),
        responses=documents.OPENAI_STREAMS,
        examples=[
            OpenApiExample(
                "A question",
                value={"model": "auto", "input": "What is the capital of France?"},
                request_only=True,
            )
        ],
    )
    async def create(self, request: Request) -> HttpResponseBase:
        """Answer as OpenAI's Responses API does; unless store is false, the answer is stored."""
        return await self.serve(request)
