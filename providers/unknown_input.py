"""Input whose tokens no text bounds: documents, sound, what a provider keeps or fetches.

It is looked for in the body that the client sent, of any wire.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from providers.media import is_image, is_sound, is_text, of_data_url
from providers.unchecked_fields import in_either_case, mapping_of, text_of

Body = Mapping[str, Any]
# Fields that name input which is stored with the provider.
_STORED_INPUT = ("previous_response_id", "conversation", "cachedContent", "cached_content")
_CONTENT = ("messages", "input", "contents", "system", "systemInstruction", "system_instruction")
# JSON of the client's own tools, in which names mean nothing, and sources, which their part judges.
_OPAQUE = frozenset({"arguments", "functionCall", "functionResponse", "parameters", "source"})
_IMAGES_BY_URL = frozenset({"image_url", "input_image", "computer_screenshot"})
_FILE_FIELDS = ("file_id", "file_url", "file_uri", "fileUri")


def unknown_input(body: Body) -> Iterator[tuple[str, str]]:
    """Yield (field, what it holds) for input whose tokens the body does not bound.

    Audio, whose bytes bound its tokens but at other rates, is ("input", "audio").
    """
    yield from _stored_input(body)
    for field in _CONTENT:
        # A stack, as the body may be nested as deeply as JSON allows.
        values = [body.get(field)]
        while values:
            value = values.pop()
            if isinstance(value, list):
                values.extend(value)
            elif isinstance(value, Mapping):
                if name := _unknown_part(value):
                    yield ("input", name) if name == "audio" else (field, name)
                if "functionResponse" in value:
                    # What the function returned is the client's; these are documents beside it.
                    values.append(mapping_of(value["functionResponse"]).get("parts"))
                call = text_of(value.get("type")) in {"tool_use", "custom_tool_call"}
                own = "input" if call else ""
                values.extend(v for k, v in value.items() if k not in _OPAQUE and k != own)


def _stored_input(body: Body) -> Iterator[tuple[str, str]]:
    """Yield the same for what the provider keeps, and the body names by an id."""
    for field in _STORED_INPUT:
        if body.get(field):
            yield field, "stored input"
    if isinstance(body.get("prompt"), Mapping):
        yield "prompt", "a stored prompt"
    items = body.get("input")
    for item in items if isinstance(items, list) else ():
        if isinstance(item, Mapping) and item.get("id") and _is_stored(item):
            yield "input", "item_reference"


def _is_stored(item: Body) -> bool:
    """Return whether OpenAI looks up by its id what an item of a response holds.

    The type of a reference may be left out. Reasoning that is not sealed is kept by OpenAI:
    https://platform.openai.com/docs/api-reference/responses/create
    """
    if item.get("type") == "reasoning":
        return not (item.get("encrypted_content") or item.get("content"))
    return not item.get("type") and item.keys() <= {"id", "type"}


def _unknown_part(part: Body) -> str:
    """Return what a part of a message is if its tokens have no bound, else an empty string."""
    kind = text_of(part.get("type"))
    if kind == "input_audio":
        data = text_of(mapping_of(part.get("input_audio")).get("data"))
        return "audio" if is_sound(data) else kind
    if kind in {"item_reference", "container_upload", "input_video"}:
        return kind
    if kind.endswith("_url") and kind not in _IMAGES_BY_URL:
        return kind
    if kind in {"file", "input_file"}:
        inner = mapping_of(part.get("file")) or part
        data = text_of(inner.get("file_data"))
        stored = any(inner.get(name) for name in _FILE_FIELDS)
        media, content = of_data_url(data)
        return kind if stored or (data and not _is_bounded(media, content)) else ""
    if kind in _IMAGES_BY_URL:
        url = _image_url(part)
        is_data = url[:10].lstrip().lower().startswith("data:")
        return kind if is_data and not is_image(of_data_url(url)[1]) else ""
    source = mapping_of(part.get("source"))
    if source:
        if text_of(source.get("type")) in {"text", "content"}:
            return ""
        if "image" in kind and text_of(source.get("type")) in {"url", "file"}:
            return ""  # Anthropic refuses what is no image
        media, content = text_of(source.get("media_type")), text_of(source.get("data"))
        return "" if _is_bounded(media, content) else kind or "a part without a type"
    if mapping_of(part.get("audio")).get("id"):
        return "stored audio"
    return _unknown_blob(part)


def _unknown_blob(part: Body) -> str:
    """Return the same for Gemini's parts."""
    for name in ("fileData", "file_data", "inlineData", "inline_data"):
        blob = mapping_of(part.get(name))
        # Google reads the file behind an address, whatever the request calls it.
        if blob and (
            name.startswith("file")
            or not _is_bounded(text_of(in_either_case(blob, "mimeType")), text_of(blob.get("data")))
        ):
            return name
    return ""


def _is_bounded(media: str, data: str) -> bool:
    """Return whether bytes bound the tokens of ``data``, or it is an image; by its own bytes."""
    if not data:
        return False
    if media.lower().startswith("image/"):
        return is_image(data)
    return media.lower().startswith("text/") and is_text(data)


def _image_url(part: Body) -> str:
    given = part.get("image_url")
    return text_of(given) or text_of(mapping_of(given).get("url"))


def fetched_images(body: Body) -> int:
    """Return how many images the body names by an address or an id, of any wire."""
    count, values = 0, [body.get(field) for field in _CONTENT]
    while values:
        value = values.pop()
        if isinstance(value, list):
            values.extend(value)
        elif isinstance(value, Mapping):
            kind, source = text_of(value.get("type")), mapping_of(value.get("source"))
            if kind in _IMAGES_BY_URL:
                count += not _image_url(value).startswith("data:")
            elif kind == "image":
                count += text_of(source.get("type")) in {"url", "file"}
            values.extend(v for k, v in value.items() if k not in _OPAQUE)
    return count
