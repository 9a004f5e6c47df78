"""POST /v1/responses."""

from __future__ import annotations

from django.http import HttpResponseBase
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.request import Request

from optimizer.api.clients import client_of
from optimizer.api.gateway import documents
from optimizer.api.gateway.answering import answer
from optimizer.api.gateway.openai.responses_answer import ResponseFrame
from optimizer.api.gateway.openai.responses_request import read_response_query
from optimizer.api.gateway.openai.responses_stream import ResponseTeller
from optimizer.api.gateway.openai.views import OpenAIViewSet
from optimizer.api.gateway.views import request_id_of
from optimizer.composition import get_services


class ResponsesViewSet(OpenAIViewSet):
    """Responses as OpenAI specifies them, as far as they hold within one request."""

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
        services = get_services()
        query = read_response_query(request.data, self.header(request, "Cache-Control"))
        request_id = request_id_of(request)
        ask = services.gateway.ask(
            query, endpoint="responses", request_id=request_id, client=client_of(request)
        )
        self.ask = ask
        assert isinstance(request.data, dict)
        frame = ResponseFrame(request_id, request.data)
        return await answer(
            services.routing,
            ask,
            frame.whole,
            lambda stream: ResponseTeller(frame, stream.decision.model),
        )
