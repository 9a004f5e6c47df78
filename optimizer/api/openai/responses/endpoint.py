"""POST /v1/responses."""

from __future__ import annotations

from django.http import HttpResponseBase
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.request import Request

from optimizer.api.compat import openapi as documents
from optimizer.api.compat.chat_endpoint import ChatEndpoint, ResponseFormat
from optimizer.api.http.endpoint import ApiRequest
from optimizer.api.http.views import EndpointViewSet
from optimizer.api.openai.chat import OpenAIEndpoint
from optimizer.api.openai.responses.answer import ResponseFrame
from optimizer.api.openai.responses.relay import ResponseRelayRules
from optimizer.api.openai.responses.request import read_response_query
from optimizer.api.openai.responses.stream import ResponseStreamEncoder
from optimizer.gateway.chat_requests import ChatQuery


class ResponsesEndpoint(OpenAIEndpoint, ChatEndpoint):
    """Answers ``POST /v1/responses``."""

    name = "responses"

    def read(self, api_request: ApiRequest) -> tuple[ChatQuery, ResponseFormat]:
        """Return the chat that the request asks for, and the format of its answer."""
        query = read_response_query(api_request.data, api_request.header("cache-control"))
        frame = ResponseFrame(api_request.request_id, api_request.data)
        return query, ResponseFormat(
            ResponseRelayRules(),
            frame.whole,
            lambda stream, _: ResponseStreamEncoder(frame, stream.model(query.model)),
        )


class ResponsesViewSet(EndpointViewSet):
    """Serves ``POST /v1/responses``."""

    endpoint = ResponsesEndpoint

    @extend_schema(
        operation_id="responses",
        summary="Responses (OpenAI)",
        tags=["OpenAI"],
        request=documents.request_body({"input": "text"}),
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
        """Answer as OpenAI's Responses API does. Nothing is stored between requests."""
        return await self.serve(request)
