"""The models' list, as both APIs that have one spell it.

Wire: https://platform.openai.com/docs/api-reference/models,
https://docs.anthropic.com/en/api/models-list
"""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from optimizer.api.compat import openapi as documents
from optimizer.api.http.views import EndpointViewSet
from optimizer.api.openai.chat import ChatCompletionsEndpoint
from optimizer.domain.model_names import AUTO, ModelNames, UnknownModel

# When a model was made is not ours to know; the field is required.
_CREATED = 1_700_000_000
_CREATED_AT = "2023-11-14T22:13:20Z"
_OURS = "ai-cost-optimizer"


def model_list(names: ModelNames) -> dict[str, Any]:
    """Ways to choose first, then every model that can be named now."""
    found = dict.fromkeys(AUTO, _OURS)
    for spec in names.available():
        found.setdefault(spec.id, spec.provider)
    models = [_body(name, owner) for name, owner in found.items()]
    return {
        "object": "list",
        "data": models,
        "first_id": models[0]["id"],
        "last_id": models[-1]["id"],
        "has_more": False,
    }


def model_body(names: ModelNames, name: str) -> dict[str, Any]:
    """Raises :class:`optimizer.domain.model_names.UnknownModel`."""
    if name in AUTO:
        return _body(name, _OURS)
    for spec in names.available():
        if name in {spec.id, spec.ref, *spec.aliases}:
            return _body(name, spec.provider)
    raise UnknownModel(f"The model '{name}' does not exist here.")


def _body(name: str, owner: str) -> dict[str, Any]:
    return {
        "id": name,
        "object": "model",
        "type": "model",
        "display_name": name,
        "created": _CREATED,
        "created_at": _CREATED_AT,
        "owned_by": owner,
    }


class ModelsViewSet(EndpointViewSet):
    """The names that a request may give as its model."""

    endpoint = ChatCompletionsEndpoint  # whose errors it shares

    @extend_schema(
        operation_id="models",
        summary="List models (OpenAI)",
        tags=["OpenAI"],
        responses={200: documents.ANY_OBJECT},
    )
    async def retrieve(self, request: Request) -> Response:
        return Response(model_list(self.services.names))

    @extend_schema(
        operation_id="model",
        summary="Describe a model (OpenAI)",
        tags=["OpenAI"],
        responses=documents.OPENAI_RESPONSES,
    )
    async def describe(self, request: Request, name: str) -> Response:
        return Response(model_body(self.services.names, name))
