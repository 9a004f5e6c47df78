"""Calls of models that do one thing, at OpenAI's paths or at a server's own for ranking.

Formats: https://platform.openai.com/docs/api-reference/images, .../audio, .../moderations;
https://docs.cohere.com/reference/rerank, https://api.jina.ai/docs (rerank)
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import uuid
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

import httpx

from providers.completion import Usage
from providers.errors import EmptyCompletion, ProviderError, error_for_status
from providers.http.error_answer import call_failed
from providers.http.json_client import as_json
from providers.http.streaming import json_messages
from providers.http.transport import CALL_FAILED, client_headers
from providers.http.wire import WireClient
from providers.large_json import LARGE_BYTES
from providers.openai.answer import upstream_error
from providers.openai.dialect import SERVER, Dialect
from providers.specialised.bounds import document_text
from providers.specialised.requests import (
    HEARS,
    IMAGES,
    SpecialisedAnswer,
    SpecialisedRequest,
    SpecialisedStream,
)
from providers.specialised.usage import read_used

# One for the process, so that the headers of all forms are the same. Nobody can guess it.
_BOUNDARY = uuid.uuid4().hex
_FORM = f"multipart/form-data; boundary={_BOUNDARY}"
_AUDIO = {
    "mp3": "audio/mpeg", "opus": "audio/opus", "aac": "audio/aac", "flac": "audio/flac",
    "wav": "audio/wav", "pcm": "audio/pcm",
}  # fmt: skip
_JSON = "application/json"
_PLAIN = frozenset({"", "json", "text"})
# https://developers.openai.com/api/docs/guides/image-generation: what an image may not show.
_OF_THE_REQUEST = frozenset(
    {
        "moderation_blocked", "content_policy_violation", "invalid_request_error",
        "image_generation_user_error",
    }
)  # fmt: skip
_TEXT_OF_MODEL = "text/plain; charset=utf-8"


class SpecialisedClient(WireClient):
    """A server with OpenAI's API for images, audio and moderation, and one for ranking.

    ``speech_events`` is whether its speech models of tokens tell their usage in events alone: it is
    asked for those, and the client gets the audio in them.
    """

    dialect: Dialect = SERVER
    speech_events: bool = False

    async def perform(
        self, model: str, request: SpecialisedRequest
    ) -> SpecialisedAnswer | SpecialisedStream:
        """Return the answer of ``model``. Raises :class:`ProviderError`."""
        fields = self._fields(model, request)
        path = self._specialised_path(model, request)
        content, media_type = await _encoded(fields, request)
        headers = {**self.key_headers(), "content-type": media_type}
        if request.streams:
            return await self._stream_of(model, request, fields, path, content, headers)
        answer = await self._post(path, content, headers)
        kind = answer.headers.get("content-type", _JSON)
        shown = client_headers(answer.raw_headers)
        return await self._whole(model, request, fields, answer.body, kind, shown)

    async def _whole(
        self, model: str, request: SpecialisedRequest, fields: Mapping[str, Any], raw: bytes,
        media_type: str, headers: Mapping[str, str],
    ) -> SpecialisedAnswer:  # fmt: skip
        text, body = "", None
        if _is_json(media_type):
            large = len(raw) > LARGE_BYTES
            body = await asyncio.to_thread(self._object, raw) if large else self._object(raw)
        else:
            text = raw.decode("utf-8", "replace")
        with self._reading:
            usage = read_used(request, body, text)
            if body is not None and body.get("error"):
                raise self._reported(body, usage)
            if body is not None:
                if request.task in IMAGES and not body.get("data"):
                    raise EmptyCompletion(self.name, "returned no images", usage=usage)
                raw, media_type = self._given(request, fields, body, raw, media_type)
        return SpecialisedAnswer(self.name, model, raw, media_type, usage, headers)

    def _reported(self, report: dict[str, Any], usage: Usage) -> ProviderError:
        """Return the error that an answer with status 200 reports, with what it says was used."""
        # Some events have the error's fields themselves.
        reported = report.get("error") or report
        error = upstream_error(self.name, reported)
        if _is_of_the_request(reported):
            error = error_for_status(self.name, 400)
        error.usage = None if usage.unreported and usage.reported_cost is None else usage
        if not self.holds_key(as_json(report)):
            error.event, error.wire = report, self.wire
            error.body = {"error": reported}
        return error

    def _specialised_path(self, model: str, request: SpecialisedRequest) -> str:
        return f"/{request.task}"

    def _target_url(self, path: str) -> str:
        if path == "/rerank" and self.dialect.rerank_path:
            place = urlsplit(self._base_url)
            return f"{place.scheme}://{place.netloc}{self.dialect.rerank_path}"
        return super()._target_url(path)

    def _model_field(self, model: str) -> str:
        """Return the name under which the server knows ``model``."""
        return model

    def _fields(self, model: str, request: SpecialisedRequest) -> dict[str, Any]:
        fields = {**request.fields, "model": self._model_field(model)}
        if request.task in HEARS and _hears_verbosely(model, request):
            fields["response_format"] = "verbose_json"
        if request.task == "audio/speech" and self._speaks_in_events(model):
            fields["stream_format"] = "sse"
        if request.task == "rerank" and self.dialect.rerank_path:
            # Cohere's own API takes texts alone, and returns none of them.
            fields["documents"] = [document_text(each) for each in fields["documents"]]
            fields.pop("return_documents", None)
        return fields

    def _speaks_in_events(self, model: str) -> bool:
        # https://xsai.js.org/packages/stream/speech reads the audio in the same way.
        return self.speech_events and not model.startswith("tts-1")

    def _given(
        self, request: SpecialisedRequest, fields: Mapping[str, Any], body: dict[str, Any],
        raw: bytes, media_type: str,
    ) -> tuple[bytes, str]:  # fmt: skip
        """Return the answer in the form that was asked for, and its media type."""
        asked = request.text_of("response_format")
        if request.task in HEARS and asked != fields.get("response_format", asked):
            text = str(body["text"])
            if asked == "text":
                return f"{text}\n".encode("utf-8", "replace"), _TEXT_OF_MODEL
            usage = body.get("usage") or {"type": "duration", "seconds": body.get("duration")}
            return as_json({"text": text, "usage": usage}), media_type
        if request.task == "rerank":
            results = body["results"] if "results" in body else body["data"]
            if not isinstance(results, list):
                raise TypeError
            if request.fields.get("return_documents") and self.dialect.rerank_path:
                documents = request.fields["documents"]
                for result in results:
                    text = document_text(documents[result["index"]])
                    result["document"] = {"text": text}
                return as_json(body), media_type
        return raw, media_type

    async def _stream_of(
        self, model: str, request: SpecialisedRequest, fields: Mapping[str, Any], path: str,
        content: bytes, headers: Mapping[str, str],
    ) -> SpecialisedAnswer | SpecialisedStream:  # fmt: skip
        stack = AsyncExitStack()
        response = await stack.enter_async_context(self._open(path, content, headers))
        kind = str(response.headers.get("content-type", "application/octet-stream"))
        shown = client_headers(response.headers.raw)
        if _is_json(kind):
            # Whisper answers as a whole, whatever it is asked for.
            async with stack:
                raw = await self._read(response)
            return await self._whole(model, request, fields, raw, kind, shown)
        events = kind.partition(";")[0].strip().lower() == "text/event-stream"
        used = _UsedInStream(request)
        decoded = events and fields.get("stream_format") != request.fields.get("stream_format")
        if decoded:
            pieces = self._audio_of(response, used)
            kind = _AUDIO.get(request.text_of("response_format") or "mp3", "audio/mpeg")
        else:
            pieces = self._events_of(response, used) if events else self._bytes_of(response)
        return SpecialisedStream(
            self.name,
            model,
            self._closing(stack, pieces),
            kind,
            used.usage,
            used.ends,
            stack.aclose,
            events=events and not decoded,
            headers=shown,
        )

    async def _closing(
        self, stack: AsyncExitStack, pieces: AsyncGenerator[bytes, None]
    ) -> AsyncGenerator[bytes, None]:
        """Yield ``pieces``; close the response at the end. Raises :class:`ProviderError`."""
        async with stack, aclosing(pieces):
            try:
                async for piece in pieces:
                    yield piece
            except CALL_FAILED as error:
                raise call_failed(self.name, error) from error

    async def _bytes_of(self, response: httpx.Response) -> AsyncGenerator[bytes, None]:
        async for piece in response.aiter_bytes():
            yield piece

    async def _events_of(
        self, response: httpx.Response, used: _UsedInStream
    ) -> AsyncGenerator[bytes, None]:
        async with aclosing(json_messages(self.name, response)) as messages:
            async for name, text, data in messages:
                used.add(data)
                if data is not None and _is_error(name, data):
                    raise self._reported(data, used.reported())
                head = f"event: {name}\n" if name and name != "message" else ""
                lines = text.replace("\n", "\ndata: ")
                yield f"{head}data: {lines}\n\n".encode()

    async def _audio_of(
        self, response: httpx.Response, used: _UsedInStream
    ) -> AsyncGenerator[bytes, None]:
        async with aclosing(json_messages(self.name, response)) as messages:
            async for name, _, data in messages:
                used.add(data)
                if data is not None and _is_error(name, data):
                    raise self._reported(data, used.reported())
                audio = (data or {}).get("audio")
                if isinstance(audio, str) and audio:
                    try:
                        yield base64.b64decode(audio)
                    except binascii.Error:
                        raise ProviderError(self.name, "streamed audio that is no base64") from None


@dataclass(slots=True)
class _UsedInStream:
    """Keeps what the events of one stream report of its usage: the last report counts."""

    request: SpecialisedRequest
    body: Mapping[str, Any] = field(default_factory=dict)
    _reported: bool = False

    def add(self, event: Mapping[str, Any] | None) -> None:
        """Look at one event; ``None`` is the end marker."""
        self._reported = self._reported or event is None or bool(event.get("usage"))
        if event is not None and event.get("usage"):
            self.body = {
                name: event[name] for name in ("usage", "quality", "size") if name in event
            }

    def ends(self) -> bool:
        """Return whether the last event is that with the usage, or one after it."""
        return self._reported

    def usage(self) -> Any:
        """Return what is known so far."""
        return read_used(self.request, self.body)

    def reported(self) -> Usage:
        """Return what the events have reported, with nothing of the request's own."""
        return replace(read_used(self.request, self.body), units=None)


def _is_error(name: str, event: Mapping[str, Any]) -> bool:
    """Return whether an event reports that the answer failed, in any of the servers' forms."""
    kind = event.get("type")
    failed = isinstance(kind, str) and (kind == "error" or kind.endswith(".failed"))
    return failed or name == "error" or bool(event.get("error"))


def _is_of_the_request(reported: Any) -> bool:
    """Return whether an error says that the request, and no failure, is the reason."""
    fields = reported if isinstance(reported, dict) else {}
    return any(str(fields.get(name)) in _OF_THE_REQUEST for name in ("code", "type"))


def _is_json(media_type: str) -> bool:
    return media_type.partition(";")[0].strip().lower() == _JSON


def _hears_verbosely(model: str, request: SpecialisedRequest) -> bool:
    """Return whether the server is asked for the verbose form, which has the audio's length.

    All servers of Whisper have it, and it bills by the length:
    https://console.groq.com/docs/speech-to-text and https://docs.together.ai/docs/speech-to-text
    """
    return "whisper" in model.lower() and request.text_of("response_format") in _PLAIN


async def _encoded(fields: Mapping[str, Any], request: SpecialisedRequest) -> tuple[bytes, str]:
    """Return the body and its media type: a form if there are files, else JSON."""
    if not request.uploads:
        if sum(len(value) for value in fields.values() if isinstance(value, (str, list))) < 10_000:
            return as_json(fields), "application/json"
        return await asyncio.to_thread(as_json, fields), "application/json"
    return await asyncio.to_thread(_form, fields, request), _FORM


def _form(fields: Mapping[str, Any], request: SpecialisedRequest) -> bytes:
    values = {
        name: value if isinstance(value, (str, list)) else json.dumps(value)
        for name, value in fields.items()
    }
    files = [
        (upload.name, (upload.filename, upload.content, upload.media_type))
        for upload in request.uploads
    ]
    form = httpx.Request("POST", "http://form", data=values, files=files,
                         headers={"content-type": _FORM})  # fmt: skip
    return form.read()
