"""POST /v1/images/generations and /v1/images/edits.

Format: https://platform.openai.com/docs/api-reference/images
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
from optimizer.api.openai.specialised.forms import FormViewSet
from providers.specialised.requests import Task, Upload

_MOST_IMAGES = 10
_MOST_SENT = 16
_LONGEST_PROMPT = 32_000
_MOST_FRAMES = 16
_PICTURES = ("image", "image[]")


class ImagesEndpoint(SpecialisedEndpoint):
    """Answers ``POST /v1/images/generations``."""

    task: ClassVar[Task] = "images/generations"
    name = task

    def check(self, fields: BodyReader, uploads: tuple[Upload, ...]) -> str:
        """Check the fields that decide the cost; return the prompt."""
        prompt = fields.text("prompt", required=True)
        if not 0 < len(prompt) <= _LONGEST_PROMPT:
            raise fields.error("prompt", f"must have 1 to {_LONGEST_PROMPT} characters.")
        for name, low, high in (
            ("n", 1, _MOST_IMAGES), ("partial_images", 0, 3), ("frame_count", 1, _MOST_FRAMES),
        ):  # fmt: skip
            whole_number(fields, name, low, high)
        fields.text("size")
        fields.text("quality")
        return prompt


class ImageEditsEndpoint(ImagesEndpoint):
    """Answers ``POST /v1/images/edits``."""

    task: ClassVar[Task] = "images/edits"
    name = task

    def check(self, fields: BodyReader, uploads: tuple[Upload, ...]) -> str:
        """Check that there are images; return the prompt."""
        pictures = [upload for upload in uploads if upload.name in _PICTURES]
        if not pictures:
            raise fields.error("image", "is required.", "missing_required_parameter")
        if len(pictures) > _MOST_SENT:
            raise fields.error("image", f"must be at most {_MOST_SENT} files.")
        return super().check(fields, uploads)


def whole_number(fields: BodyReader, name: str, low: int, high: int) -> None:
    """Check a whole number that is one of JSON, or of a form, which has texts alone."""
    value = fields.raw(name)
    if not isinstance(value, str):
        fields.integer(name, low, high)
    elif not (value.isascii() and value.isdigit() and len(value) < 10):
        raise fields.error(name, "must be an integer.", "invalid_type")
    elif not low <= int(value) <= high:
        raise fields.error(name, f"must be between {low} and {high}.", "out_of_range")


class ImagesViewSet(EndpointViewSet):
    """Serves ``POST /v1/images/generations``."""

    endpoint = ImagesEndpoint

    @extend_schema(
        operation_id="images_generations",
        summary="Make images (OpenAI)",
        tags=["OpenAI"],
        request=documents.task_body({"prompt": "words"}),
        responses=documents.OPENAI_STREAMS,
        examples=[
            OpenApiExample(
                "An image",
                value={"model": "gpt-image-2.5-flare", "prompt": "A lighthouse", "quality": "low"},
                request_only=True,
            )
        ],
    )
    async def create(self, request: Request) -> HttpResponseBase:
        """Make images with a model of the catalogue. The request is priced and recorded."""
        return await self.serve(request)


class ImageEditsViewSet(FormViewSet):
    """Serves ``POST /v1/images/edits``."""

    endpoint = ImageEditsEndpoint

    @extend_schema(
        operation_id="images_edits",
        summary="Change images (OpenAI)",
        tags=["OpenAI"],
        request=documents.form_body({"image": "file", "prompt": "text"}),
        responses=documents.OPENAI_STREAMS,
    )
    async def create(self, request: Request) -> HttpResponseBase:
        """Change images as the prompt says. The request is priced and recorded."""
        return await self.serve(request)
