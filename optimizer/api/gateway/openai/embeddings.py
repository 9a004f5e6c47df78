"""POST /v1/embeddings.

Wire: https://platform.openai.com/docs/api-reference/embeddings/create
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from optimizer.api.clients import client_of
from optimizer.api.gateway import documents
from optimizer.api.gateway.answering import cost_headers
from optimizer.api.gateway.extensions import read_wishes
from optimizer.api.gateway.openai.views import OpenAIViewSet
from optimizer.api.gateway.reading import Fields
from optimizer.api.gateway.views import request_id_of
from optimizer.composition import get_services
from optimizer.services.wishes import Wishes

_MOST_INPUTS = 2048


class EmbeddingsViewSet(OpenAIViewSet):
    """Embeddings by a model of the catalogue: passed through, priced and recorded."""

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
    async def create(self, request: Request) -> Response:
        model, body, wishes = read_embedding_query(
            request.data, self.header(request, "Cache-Control")
        )
        answer, result = await get_services().embedding.embed(
            model, body, wishes, request_id_of(request), client_of(request)
        )
        return Response(answer, headers=cost_headers(result))


def read_embedding_query(body: Any, cache_control: str) -> tuple[str, Mapping[str, Any], Wishes]:
    """The model's name, the body to pass on, and the wishes.

    Raises :class:`optimizer.api.gateway.reading.InvalidField`.
    """
    fields = Fields(body)
    model = fields.text("model", required=True)
    given = fields.required("input")
    if not isinstance(given, (str, list)) or not given:
        raise fields.error("input", "must be a string or an array, and not empty.")
    if isinstance(given, list) and isinstance(given[0], str) and len(given) > _MOST_INPUTS:
        raise fields.error("input", f"may have at most {_MOST_INPUTS} texts.")
    fields.choice("encoding_format", ("float", "base64"))
    fields.integer("dimensions", 1, 100_000)
    fields.text("user")
    wishes = read_wishes(fields, cache_control)
    return model, {k: v for k, v in body.items() if k not in {"model", "optimizer"}}, wishes
