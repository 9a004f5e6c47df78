"""The views of Gemini's API; the fast path serves the ordinary requests to the same endpoints."""

from __future__ import annotations

from typing import ClassVar

from django.http import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter
from rest_framework.request import Request
from rest_framework.response import Response

from optimizer.api.compat import openapi as documents
from optimizer.api.gemini.embeddings import BatchEmbedEndpoint, EmbedEndpoint
from optimizer.api.gemini.generate import (
    CountContentTokensEndpoint,
    GenerateEndpoint,
    StreamGenerateEndpoint,
)
from optimizer.api.gemini.model_list import model_body, model_list
from optimizer.api.http.documentation import extend_schema
from optimizer.api.http.endpoint import ApiEndpoint
from optimizer.api.http.views import EndpointViewSet
from optimizer.api.openai.model_list import ModelsViewSet

_EXAMPLE = OpenApiExample(
    "A question",
    value={"contents": [{"role": "user", "parts": [{"text": "What is the capital of France?"}]}]},
    request_only=True,
)
_ALT = OpenApiParameter(
    "alt", OpenApiTypes.STR, description="sse: server-sent events. Otherwise one JSON array."
)


class GenerateViewSet(EndpointViewSet):
    """Serves ``POST /v1beta/models/{model}:generateContent``."""

    endpoint: ClassVar[type[ApiEndpoint]] = GenerateEndpoint

    @extend_schema(
        operation_id="generate_content",
        summary="Generate content (Gemini)",
        tags=["Gemini"],
        request=documents.GEMINI_CONTENTS,
        responses=documents.GEMINI_RESPONSES,
        examples=[_EXAMPLE],
    )
    async def create(self, request: Request, model: str) -> HttpResponseBase:
        """Answer contents as Google's API does, with the model named or a chosen one."""
        return await self.serve(request)


class StreamGenerateViewSet(EndpointViewSet):
    """Serves ``POST /v1beta/models/{model}:streamGenerateContent``."""

    endpoint: ClassVar[type[ApiEndpoint]] = StreamGenerateEndpoint

    @extend_schema(
        operation_id="stream_generate_content",
        summary="Generate content as a stream (Gemini)",
        tags=["Gemini"],
        parameters=[_ALT],
        request=documents.GEMINI_CONTENTS,
        responses=documents.GEMINI_STREAMS,
        examples=[_EXAMPLE],
    )
    async def create(self, request: Request, model: str) -> HttpResponseBase:
        """Answer contents piece by piece."""
        return await self.serve(request)


class CountContentTokensViewSet(EndpointViewSet):
    """Serves ``POST /v1beta/models/{model}:countTokens``."""

    endpoint: ClassVar[type[ApiEndpoint]] = CountContentTokensEndpoint

    @extend_schema(
        operation_id="count_content_tokens",
        summary="Count the tokens of contents (Gemini)",
        tags=["Gemini"],
        request=documents.GEMINI_BODY,
        responses=documents.GEMINI_RESPONSES,
    )
    async def create(self, request: Request, model: str) -> HttpResponseBase:
        """Count the input tokens of contents. This is free and not recorded."""
        return await self.serve(request)


class EmbedViewSet(EndpointViewSet):
    """Serves ``POST /v1beta/models/{model}:embedContent``."""

    endpoint: ClassVar[type[ApiEndpoint]] = EmbedEndpoint

    @extend_schema(
        operation_id="embed_content",
        summary="Embed a content (Gemini)",
        tags=["Gemini"],
        request=documents.GEMINI_BODY,
        responses=documents.GEMINI_RESPONSES,
    )
    async def create(self, request: Request, model: str) -> HttpResponseBase:
        """Compute the embedding of a text. The request is priced and recorded."""
        return await self.serve(request)


class BatchEmbedViewSet(EndpointViewSet):
    """Serves ``POST /v1beta/models/{model}:batchEmbedContents``."""

    endpoint: ClassVar[type[ApiEndpoint]] = BatchEmbedEndpoint

    @extend_schema(
        operation_id="batch_embed_contents",
        summary="Embed several contents (Gemini)",
        tags=["Gemini"],
        request=documents.GEMINI_BODY,
        responses=documents.GEMINI_RESPONSES,
    )
    async def create(self, request: Request, model: str) -> HttpResponseBase:
        """Compute the embeddings of several texts. The request is priced and recorded."""
        return await self.serve(request)


class SharedModelsViewSet(ModelsViewSet):
    """Serves ``GET /v1/models``: OpenAI's list, or Google's to its own clients."""

    @extend_schema(
        operation_id="models",
        summary="List models (OpenAI; Gemini with x-goog-api-key)",
        tags=["OpenAI"],
        responses={200: documents.ANY_OBJECT},
    )
    async def retrieve(self, request: Request) -> Response:
        """List the names that a request may give as its model."""
        if _is_of_google(request):
            return Response(model_list(self.services.names))
        return await super().retrieve(request)

    @extend_schema(
        operation_id="model",
        summary="Describe a model (OpenAI; Gemini with x-goog-api-key)",
        tags=["OpenAI"],
        responses=documents.OPENAI_RESPONSES,
    )
    async def describe(self, request: Request, name: str) -> Response:
        """Describe one model."""
        if _is_of_google(request):
            return Response(model_body(self.services.names, name))
        return await super().describe(request, name)


def _is_of_google(request: Request) -> bool:
    headers = request._request.headers
    return "x-goog-api-key" in headers or "x-goog-api-client" in headers


class GeminiModelsViewSet(EndpointViewSet):
    """Serves ``GET /v1beta/models`` and ``GET /v1beta/models/{model}``."""

    endpoint: ClassVar[type[ApiEndpoint]] = GenerateEndpoint  # for its error format

    @extend_schema(
        operation_id="gemini_models",
        summary="List models (Gemini)",
        tags=["Gemini"],
        responses={200: documents.ANY_OBJECT},
    )
    async def retrieve(self, request: Request) -> Response:
        """List the names that a request may give as its model."""
        return Response(model_list(self.services.names))

    @extend_schema(
        operation_id="gemini_model",
        summary="Describe a model (Gemini)",
        tags=["Gemini"],
        responses=documents.GEMINI_RESPONSES,
    )
    async def describe(self, request: Request, model: str) -> Response:
        """Describe one model."""
        return Response(model_body(self.services.names, model))
