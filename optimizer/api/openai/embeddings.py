"""POST /v1/embeddings.

Format: https://platform.openai.com/docs/api-reference/embeddings/create
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Any, Self

from django.http import HttpResponseBase
from drf_spectacular.utils import OpenApiExample
from rest_framework.request import Request

from optimizer.api.compat import openapi as documents
from optimizer.api.compat.extensions import read_request_options, within_header
from optimizer.api.compat.response_headers import cost_headers
from optimizer.api.http.body_reader import BodyReader
from optimizer.api.http.documentation import extend_schema
from optimizer.api.http.endpoint import ApiRequest, JsonReply
from optimizer.api.http.views import EndpointViewSet
from optimizer.api.openai.chat import OpenAIEndpoint
from optimizer.domain.options import RequestOptions
from optimizer.domain.request_bounds import RESIDENCY_HEADER
from optimizer.gateway.specialised.embeddings import EmbeddingService
from optimizer.wiring.services import Services
from providers.embedding import is_large_answer

_MAX_INPUTS = 2048


class EmbeddingsEndpoint(OpenAIEndpoint):
    """Answers ``POST /v1/embeddings``."""

    name = "embeddings"

    def __init__(self, embedding: EmbeddingService) -> None:
        self._embedding = embedding

    @classmethod
    def of(cls, services: Services) -> Self:
        """Build the endpoint with what it needs of ``services``."""
        return cls(services.embedding)

    async def answer(self, api_request: ApiRequest) -> JsonReply:
        """Return the provider's answer, with the cost in the headers."""
        read = partial(read_embedding_query, api_request.data, api_request.header("cache-control"))
        query = await asyncio.to_thread(read) if api_request.large else read()
        model, body, options = query
        options = within_header(options, api_request.header(RESIDENCY_HEADER))
        answer, result = await self._embedding.embed(
            model, body, options, api_request.request_id, api_request.client
        )
        headers = cost_headers(result)
        return JsonReply(answer, headers=headers, large=is_large_answer(answer))


class EmbeddingsViewSet(EndpointViewSet):
    """Serves ``POST /v1/embeddings``."""

    endpoint = EmbeddingsEndpoint

    @extend_schema(
        operation_id="embeddings",
        summary="Embeddings (OpenAI)",
        tags=["OpenAI"],
        request=documents.request_body({"input": "texts"}),
        responses=documents.OPENAI_RESPONSES,
        examples=[
            OpenApiExample(
                "A text",
                value={"model": "text-embedding-3-small", "input": "The capital of France"},
                request_only=True,
            )
        ],
    )
    async def create(self, request: Request) -> HttpResponseBase:
        """Compute embeddings with a model of the catalogue. The request is priced and recorded."""
        return await self.serve(request)


def read_embedding_query(
    body: Any, cache_control: str
) -> tuple[str, Mapping[str, Any], RequestOptions]:
    """Return the model's name, the body for the provider, and the options.

    Raises :class:`optimizer.api.http.body_reader.InvalidField`.
    """
    fields = BodyReader(body)
    model = fields.text("model", required=True)
    inputs = fields.required("input")
    if not isinstance(inputs, (str, list)) or not inputs:
        raise fields.error("input", "must be a string or an array that is not empty.")
    if isinstance(inputs, list) and isinstance(inputs[0], str) and len(inputs) > _MAX_INPUTS:
        raise fields.error("input", f"must have at most {_MAX_INPUTS} texts.")
    fields.choice("encoding_format", ("float", "base64"))
    fields.integer("dimensions", 1, 100_000)
    fields.text("user")
    options = read_request_options(fields, cache_control)
    return model, {k: v for k, v in body.items() if k not in {"model", "optimizer"}}, options
