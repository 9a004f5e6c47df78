"""Read the content of a message: texts, images, files, audio and video.

Format: https://platform.openai.com/docs/api-reference/chat/create and, for video and files by
URL, https://openrouter.ai/docs/features/multimodal/overview
"""

from __future__ import annotations

import json
import mimetypes
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from optimizer.api.http.body_reader import BodyReader
from providers.attachments import attached, type_of_file
from providers.chat import CacheMark, File, Image, Native, Part, Text, Thinking
from providers.media import of_data_url
from providers.openai.repair import text_of

_TEXTS = frozenset({"text", "input_text", "output_text"})


def read_content(message: BodyReader) -> list[Part]:
    """Return the parts of a message; a mark of the cache on it belongs to its last part."""
    value = message.raw("content")
    if isinstance(value, str):
        parts: list[Part] = [Text(value)]
    elif isinstance(value, dict) and "type" not in value and "text" not in value:
        # A tool's result that the client did not write as JSON text.
        parts = [Text(json.dumps(value, ensure_ascii=False))]
    elif isinstance(value, dict):
        parts = list(_part(BodyReader(value, message.place("content"))))
    elif value is None or isinstance(value, list):
        parts = [part for reader in message.parts("content") for part in _part(reader)]
    else:
        raise message.error("content", "must be a string or an array of parts.", "invalid_type")
    mark = read_mark(message)
    if mark and parts and isinstance(parts[-1], (Text, Image, File)):
        parts[-1] = replace(parts[-1], cache=mark)
    return parts


def read_mark(fields: BodyReader) -> CacheMark | None:
    """Return where the prompt is to be cached, as clients of Anthropic's models say it."""
    mark = fields.raw("cache_control")
    return mark if isinstance(mark, dict) and mark.get("type") else None


def _part(part: BodyReader) -> Iterator[Part]:
    kind = part.text("type", "text")
    mark = read_mark(part)
    if kind in _TEXTS:
        yield Text(text_of(part.raw("text")), mark)
    elif kind == "refusal":
        yield Text(text_of(part.raw("refusal")), mark)
    elif kind in {"thinking", "reasoning"}:
        thought = next((part.raw(n) for n in ("thinking", "reasoning", "text") if part.has(n)), "")
        yield Thinking(text_of(thought))
    elif kind == "image_url":
        yield _image(part, mark)
    elif kind == "input_audio":
        yield _audio(part, mark)
    elif kind == "file":
        yield _file(part, mark)
    elif kind == "video_url":
        url = _url(part.raw("video_url"))
        media_type, data = of_data_url(url)
        yield File(media_type or "video/mp4", data, url="" if data else url, cache=mark)
    else:
        yield Native(kind)


def _url(value: Any) -> str:
    url = value.get("url") if isinstance(value, Mapping) else value
    return url if isinstance(url, str) else ""


def _image(reader: BodyReader, mark: CacheMark | None) -> Image | File | Native:
    value = reader.raw("image_url")
    detail = value.get("detail") if isinstance(value, Mapping) else reader.raw("detail")
    url = _url(value)
    detail = detail if isinstance(detail, str) else ""
    media_type, data = of_data_url(url)
    if data:
        part = attached(media_type or "image/png", data, detail=detail, cache=mark)
        return part if isinstance(part, Image) else replace(part, as_image=True)
    if url[:8].lower().startswith(("http://", "https://")):
        if urlsplit(url).path.lower().endswith(".pdf"):
            return File("application/pdf", url=url, cache=mark, as_image=True)
        return Image(url=url, detail=detail, cache=mark)
    # An address that only a provider of this wire may know.
    return Native("image_url")


def _audio(part: BodyReader, mark: CacheMark | None) -> File | Native:
    audio = part.raw("input_audio")
    if not isinstance(audio, Mapping) or not isinstance(audio.get("data"), str):
        return Native("input_audio")
    media_type, data = of_data_url(audio["data"])
    form = audio.get("format")
    return File(media_type or f"audio/{form or 'wav'}", data or audio["data"], cache=mark)


def _file(part: BodyReader, mark: CacheMark | None) -> Image | File | Native:
    file = part.raw("file")
    if not isinstance(file, Mapping):
        return Native("file")
    given = {name: value for name, value in file.items() if isinstance(value, str)}
    name, file_id = given.get("filename", ""), given.get("file_id", "")
    guessed = given.get("format") or mimetypes.guess_type(name)[0] or ""
    data = given.get("file_data", "") or given.get("file_url", "")
    if data.startswith(("http://", "https://")):
        return File(guessed or "application/pdf", url=data, name=name, cache=mark)
    if data:
        media_type, content = of_data_url(data)
        media_type = type_of_file(media_type, name, guessed)
        return attached(media_type, content or data, name=name, cache=mark)
    if file_id:
        return File(guessed, file_id=file_id, name=name, cache=mark)
    return Native("file")
