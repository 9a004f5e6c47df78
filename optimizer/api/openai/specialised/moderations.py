"""POST /v1/moderations.

Format: https://platform.openai.com/docs/api-reference/moderations
"""

from __future__ import annotations

from typing import Any, ClassVar

from django.http import HttpResponseBase
from drf_spectacular.utils import OpenApiExample
from rest_framework.request import Request

from optimizer.api.compat import openapi as documents
from optimizer.api.http.body_reader import BodyReader
from optimizer.api.http.documentation import extend_schema
from optimizer.api.http.views import EndpointViewSet
from optimizer.api.openai.specialised.endpoint import SpecialisedEndpoint
from providers.specialised.requests import Task, Upload


class ModerationsEndpoint(SpecialisedEndpoint):
    """Answers ``POST /v1/moderations``."""

    task: ClassVar[Task] = "moderations"
    name = task
    # What OpenAI's API uses: https://platform.openai.com/docs/api-reference/moderations/create
    usual_model = "omni-moderation-latest"

    def check(self, fields: BodyReader, uploads: tuple[Upload, ...]) -> str:
        """Check that there is something to judge; return its first text."""
        given = fields.required("input")
        if not isinstance(given, (str, list)) or not given:
            raise fields.error("input", "must be a string or an array that is not empty.")
        return _first_text(given)


def _first_text(given: Any) -> str:
    first = given if isinstance(given, str) else given[0]
    if isinstance(first, dict):
        first = first.get("text")
    return first if isinstance(first, str) else ""


class ModerationsViewSet(EndpointViewSet):
    """Serves ``POST /v1/moderations``."""

    endpoint = ModerationsEndpoint

    @extend_schema(
        operation_id="moderations",
        summary="Judge texts (OpenAI)",
        tags=["OpenAI"],
        request=documents.task_body({"input": "inputs"}, model_required=False),
        responses=documents.OPENAI_RESPONSES,
        examples=[OpenApiExample("A text", value={"input": "Good morning."}, request_only=True)],
    )
    async def create(self, request: Request) -> HttpResponseBase:
        """Judge whether texts or images are harmful. The request is recorded."""
        return await self.serve(request)
