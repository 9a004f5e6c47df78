"""POST /v1/rerank, in the form that Cohere, Jina and others share; /v2/rerank is Cohere's own path.

Formats: https://docs.cohere.com/reference/rerank, https://api.jina.ai/docs (rerank),
https://openrouter.ai/docs/api/api-reference/rerank/create-rerank
"""

from __future__ import annotations

from typing import ClassVar

from django.http import HttpResponseBase
from drf_spectacular.utils import OpenApiExample
from rest_framework.request import Request

from optimizer.api.compat import openapi as documents
from optimizer.api.http.body_reader import BodyReader
from optimizer.api.http.documentation import extend_schema
from optimizer.api.http.views import EndpointViewSet
from optimizer.api.openai.specialised.endpoint import SpecialisedEndpoint
from providers.specialised.requests import Task, Upload

_MOST_DOCUMENTS = 10_000


class RerankEndpoint(SpecialisedEndpoint):
    """Answers ``POST /v1/rerank``."""

    task: ClassVar[Task] = "rerank"
    name = task

    def check(self, fields: BodyReader, uploads: tuple[Upload, ...]) -> str:
        """Check the query and the documents; return the query."""
        query = fields.text("query", required=True)
        if not query:
            raise fields.error("query", "must not be empty.")
        documents_ = fields.array("documents")
        if not 0 < len(documents_) <= _MOST_DOCUMENTS:
            raise fields.error("documents", f"must be an array of 1 to {_MOST_DOCUMENTS}.")
        if not all(isinstance(document, (str, dict)) for document in documents_):
            raise fields.error("documents", "must be strings or objects.", "invalid_type")
        fields.integer("top_n", 1, _MOST_DOCUMENTS)
        fields.flag("return_documents")
        return query


class RerankViewSet(EndpointViewSet):
    """Serves ``POST /v1/rerank``."""

    endpoint = RerankEndpoint

    @extend_schema(
        operation_id="rerank",
        summary="Rank documents (Cohere, Jina)",
        tags=["OpenAI"],
        request=documents.task_body({"query": "words", "documents": "documents"}),
        responses=documents.OPENAI_RESPONSES,
        examples=[
            OpenApiExample(
                "Two documents",
                value={
                    "model": "rerank-v4.0-fast",
                    "query": "The capital of France",
                    "documents": ["Paris is in France.", "Bears sleep in winter."],
                },
                request_only=True,
            )
        ],
    )
    async def create(self, request: Request) -> HttpResponseBase:
        """Rank documents by how well they answer a query. The request is priced and recorded."""
        return await self.serve(request)


class CohereRerankViewSet(EndpointViewSet):
    """Serves ``POST /v2/rerank``, where Cohere's own clients send the same requests."""

    endpoint = RerankEndpoint

    @extend_schema(exclude=True)
    async def create(self, request: Request) -> HttpResponseBase:
        """Rank documents."""
        return await self.serve(request)
