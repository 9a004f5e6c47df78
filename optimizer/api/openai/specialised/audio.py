"""POST /v1/audio/transcriptions, /v1/audio/translations and /v1/audio/speech.

Format: https://platform.openai.com/docs/api-reference/audio
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

_LONGEST_INPUT = 100_000
_FORMS = ("", "json", "text", "srt", "verbose_json", "vtt", "diarized_json")


class TranscriptionsEndpoint(SpecialisedEndpoint):
    """Answers ``POST /v1/audio/transcriptions``."""

    task: ClassVar[Task] = "audio/transcriptions"
    name = task

    def check(self, fields: BodyReader, uploads: tuple[Upload, ...]) -> str:
        """Check that there is one file with audio; return its name."""
        files = [upload for upload in uploads if upload.name == "file"]
        if len(files) != 1:
            raise fields.error("file", "must be one file.", "missing_required_parameter")
        if not files[0].content:
            raise fields.error("file", "is empty.", "invalid_value")
        fields.choice("response_format", _FORMS)
        fields.text("prompt")
        return files[0].filename


class TranslationsEndpoint(TranscriptionsEndpoint):
    """Answers ``POST /v1/audio/translations``."""

    task: ClassVar[Task] = "audio/translations"
    name = task


class SpeechEndpoint(SpecialisedEndpoint):
    """Answers ``POST /v1/audio/speech``."""

    task: ClassVar[Task] = "audio/speech"
    name = task

    def check(self, fields: BodyReader, uploads: tuple[Upload, ...]) -> str:
        """Check the text that is to be spoken, and return it."""
        text = fields.text("input", required=True)
        if not 0 < len(text) <= _LONGEST_INPUT:
            raise fields.error("input", f"must have 1 to {_LONGEST_INPUT} characters.")
        if len(fields.text("instructions")) > _LONGEST_INPUT:
            raise fields.error("instructions", f"must have at most {_LONGEST_INPUT} characters.")
        fields.text("response_format")
        fields.choice("stream_format", ("sse", "audio"))
        return text


class TranscriptionsViewSet(FormViewSet):
    """Serves ``POST /v1/audio/transcriptions``."""

    endpoint = TranscriptionsEndpoint

    @extend_schema(
        operation_id="audio_transcriptions",
        summary="Write down audio (OpenAI)",
        tags=["OpenAI"],
        request=documents.form_body({"file": "file"}),
        responses=documents.OPENAI_TEXTS,
    )
    async def create(self, request: Request) -> HttpResponseBase:
        """Write down what is said in a file. The request is priced and recorded."""
        return await self.serve(request)


class TranslationsViewSet(FormViewSet):
    """Serves ``POST /v1/audio/translations``."""

    endpoint = TranslationsEndpoint

    @extend_schema(
        operation_id="audio_translations",
        summary="Write down audio in English (OpenAI)",
        tags=["OpenAI"],
        request=documents.form_body({"file": "file"}),
        responses=documents.OPENAI_TEXTS,
    )
    async def create(self, request: Request) -> HttpResponseBase:
        """Write down in English what is said in a file. The request is priced and recorded."""
        return await self.serve(request)


class SpeechViewSet(EndpointViewSet):
    """Serves ``POST /v1/audio/speech``."""

    endpoint = SpeechEndpoint

    @extend_schema(
        operation_id="audio_speech",
        summary="Speak a text (OpenAI)",
        tags=["OpenAI"],
        request=documents.task_body({"input": "words"}),
        responses=documents.OPENAI_AUDIO,
        examples=[
            OpenApiExample(
                "A sentence",
                value={"model": "gpt-4o-mini-tts", "input": "Good morning.", "voice": "alloy"},
                request_only=True,
            )
        ],
    )
    async def create(self, request: Request) -> HttpResponseBase:
        """Speak a text; the audio arrives as it is made. The request is priced and recorded."""
        return await self.serve(request)
