"""POST /v1/completions."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from django.http import HttpResponseBase
from drf_spectacular.utils import OpenApiExample
from rest_framework.request import Request

from optimizer.api.compat import openapi as documents
from optimizer.api.compat.chat_endpoint import ChatEndpoint, ResponseFormat, answer
from optimizer.api.compat.response_headers import headers_of_result
from optimizer.api.http.documentation import extend_schema
from optimizer.api.http.endpoint import ApiRequest, JsonReply, Reply, StreamReply
from optimizer.api.http.views import EndpointViewSet
from optimizer.api.openai.chat import ChatRelayRules, OpenAIEndpoint
from optimizer.api.openai.completions.answer import (
    TextStreamEncoder,
    text_completion,
    whole_as_stream,
)
from optimizer.api.openai.completions.request import read_completion_queries
from optimizer.domain.request import GatewayRequest
from optimizer.gateway.chat_requests import ChatQuery


class CompletionsEndpoint(OpenAIEndpoint, ChatEndpoint):
    """Answers ``POST /v1/completions``.

    A server that has this API gets the request as it came; other models answer it as a chat.
    """

    name = "completions"

    async def answer(self, api_request: ApiRequest) -> Reply:
        """Return the reply; errors become replies as well."""
        request: GatewayRequest | None = None
        try:
            read = partial(
                read_completion_queries, api_request.data, api_request.header("cache-control")
            )
            queries, with_usage = await asyncio.to_thread(read) if api_request.large else read()
            if len(queries) > 1:
                return await self._answer_all(queries, api_request, with_usage=with_usage)
            request = await self._request(queries[0], api_request, api_request.request_id)
            return await answer(
                self._routing,
                request,
                _response_format(api_request.request_id, queries[0].model, with_usage=with_usage),
                self.headers(api_request.request_id),
            )
        except Exception as error:  # noqa: BLE001 - the request helps to name the field at fault
            return self.failed(api_request.request_id, error, request)

    async def _request(
        self, query: ChatQuery, api_request: ApiRequest, request_id: uuid.UUID
    ) -> GatewayRequest:
        build = partial(
            self._chat_requests.build,
            query,
            endpoint=self.name,
            request_id=request_id,
            client=api_request.client,
            header=api_request.header,
            large=api_request.large,
        )
        if not api_request.large:
            return build()
        request = await asyncio.to_thread(build)
        api_request.kept.append(request.chat)
        return request

    async def _answer_all(
        self, queries: list[ChatQuery], api_request: ApiRequest, *, with_usage: bool
    ) -> Reply:
        """Answer several prompts: each is a request of its own, with a record of its own."""
        ids = [api_request.request_id, *(uuid.uuid4() for _ in queries[1:])]
        requests = [
            await self._request(replace(query, streamed=False), api_request, request_id)
            for query, request_id in zip(queries, ids, strict=True)
        ]
        results = await asyncio.gather(*map(self._routing.complete, requests))
        body = text_completion(results)
        headers = headers_of_result(requests[0], results[0]) | self.headers(api_request.request_id)
        costs = [result.cost for result in results if result.cost is not None]
        if len(costs) == len(results):
            headers["X-Optimizer-Cost"] = f"{sum(costs).normalize():f}"  # type: ignore[union-attr]
        else:
            headers["X-Optimizer-Cost"] = "unknown"
        if not queries[0].streamed:
            return JsonReply(body, headers=headers)
        return StreamReply(_chunks(body, with_usage=with_usage), lambda: None, headers)


async def _chunks(body: Mapping[str, Any], *, with_usage: bool) -> AsyncGenerator[bytes, None]:
    for chunk in whole_as_stream(body, with_usage=with_usage):
        yield chunk


def _response_format(request_id: uuid.UUID, model: str, *, with_usage: bool) -> ResponseFormat:
    return ResponseFormat(
        ChatRelayRules(with_usage=with_usage),
        lambda result: text_completion([result]),
        lambda stream, _: TextStreamEncoder(request_id, stream.model(model), with_usage=with_usage),
    )


class CompletionsViewSet(EndpointViewSet):
    """Serves ``POST /v1/completions``."""

    endpoint = CompletionsEndpoint

    @extend_schema(
        operation_id="completions",
        summary="Completions (OpenAI, the older API)",
        tags=["OpenAI"],
        request=documents.request_body({"prompt": "texts"}),
        responses=documents.OPENAI_STREAMS,
        examples=[
            OpenApiExample(
                "A prompt",
                value={"model": "auto", "prompt": "The capital of France is", "max_tokens": 50},
                request_only=True,
            )
        ],
    )
    async def create(self, request: Request) -> HttpResponseBase:
        """Complete a text, with the model named or a chosen one."""
        return await self.serve(request)
