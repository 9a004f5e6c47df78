"""GET /v1/models, in a format that serves clients of OpenAI and Anthropic.

Formats: https://platform.openai.com/docs/api-reference/models,
https://docs.anthropic.com/en/api/models-list
"""

from __future__ import annotations

from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from optimizer.api.compat import openapi as documents
from optimizer.api.http.documentation import extend_schema
from optimizer.api.http.views import EndpointViewSet
from optimizer.api.openai.chat import ChatCompletionsEndpoint
from optimizer.domain.model_names import AUTO, ModelNames

# The APIs require a creation date, which is not known here.
_CREATED = 1_700_000_000
_CREATED_AT = "2023-11-14T22:13:20Z"
_SERVICE = "ai-cost-optimizer"


def model_list(names: ModelNames) -> dict[str, Any]:
    """Return the automatic choices, then every model that is available now."""
    owners = dict.fromkeys(AUTO, _SERVICE)
    for spec in names.available():
        owners.setdefault(spec.id, spec.provider)
    models = [_body(name, owner) for name, owner in owners.items()]
    return {
        "object": "list",
        "data": models,
        "first_id": models[0]["id"],
        "last_id": models[-1]["id"],
        "has_more": False,
    }


def model_body(names: ModelNames, name: str) -> dict[str, Any]:
    """Return the description of one model.

    Raises :class:`optimizer.domain.model_names.UnknownModel`.
    """
    if name in AUTO:
        return _body(name, _SERVICE)
    return _body(name, names.describe(name).provider)


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
    """Serves ``GET /v1/models`` and ``GET /v1/models/{name}``."""

    endpoint = ChatCompletionsEndpoint  # for its error format

    @extend_schema(
        operation_id="models",
        summary="List models (OpenAI)",
        tags=["OpenAI"],
        responses={200: documents.ANY_OBJECT},
    )
    async def retrieve(self, request: Request) -> Response:
        """List the names that a request may give as its model."""
        return Response(model_list(self.services.names))

    @extend_schema(
        operation_id="model",
        summary="Describe a model (OpenAI)",
        tags=["OpenAI"],
        responses=documents.OPENAI_RESPONSES,
    )
    async def describe(self, request: Request, name: str) -> Response:
        """Describe one model."""
        return Response(model_body(self.services.names, name))
