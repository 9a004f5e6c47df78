"""The messages of a chat completion's request read into turns."""

from __future__ import annotations

import re
from collections.abc import Iterator

from optimizer.api.http.body_reader import BodyReader
from providers.chat import Image, Message, Native, Part, Text, ToolCall, ToolResult
from providers.openai.answer import signature_of

_ROLES = ("system", "developer", "user", "assistant", "tool", "function")
_DATA_URL = re.compile(r"data:([\w.+-]+/[\w.+-]+);base64,(.*)", re.DOTALL)


def read_messages(fields: BodyReader) -> tuple[Message, ...]:
    """Turns in order. The results of calls made together are one user's turn."""
    if not fields.array("messages"):
        fields.required("messages")
        raise fields.error("messages", "needs at least one message.", "empty_array")
    turns: list[Message] = []
    results: list[Part] = []
    for message in fields.objects("messages"):
        if message.choice("role", _ROLES) == "tool":
            results.append(_result(message))
            continue
        if results:
            turns.append(Message("user", tuple(results)))
            results = []
        turns.append(_turn(message))
    if results:
        turns.append(Message("user", tuple(results)))
    return tuple(turns)


def _turn(message: BodyReader) -> Message:
    role, name = message.text("role"), message.text("name")
    if role in {"system", "developer"}:
        return Message("system", tuple(_content(message)), name)
    if role == "user":
        return Message("user", tuple(_content(message)), name)
    if role == "assistant":
        return Message("assistant", tuple(_assistant(message)), name)
    if role == "function":
        return Message("user", (Native("function"),), name)
    raise message.error("role", f"must be one of {', '.join(_ROLES)}.", "invalid_value")


def _result(message: BodyReader) -> ToolResult:
    content = []
    for part in _content(message):
        if not isinstance(part, (Text, Image)):
            raise message.error("content", "of a tool may only be text.", "invalid_value")
        content.append(part)
    return ToolResult(message.text("tool_call_id", required=True), tuple(content))


def _assistant(message: BodyReader) -> Iterator[Part]:
    if message.has("content"):
        yield from _content(message)
    if refusal := message.text("refusal"):
        yield Text(refusal)
    for call in message.objects("tool_calls"):
        if call.text("type", "function") != "function":
            yield Native(f"{call.text('type')} call")
            continue
        function = call.object("function")
        if function is None:
            raise call.error("function", "is required.", "missing_required_parameter")
        yield ToolCall(
            call.text("id", required=True),
            function.text("name", required=True),
            function.text("arguments"),
            signature_of({"extra_content": call.mapping("extra_content")}),
        )
    for name in ("audio", "function_call"):
        if message.has(name):
            yield Native(name)


def _content(message: BodyReader) -> Iterator[Part]:
    value = message.required("content")
    if isinstance(value, str):
        yield Text(value)
        return
    if not isinstance(value, list):
        raise message.error("content", "must be a string or an array of parts.", "invalid_type")
    for part in message.objects("content"):
        yield _part(part)


def _part(part: BodyReader) -> Part:
    kind = part.text("type", required=True)
    if kind == "text":
        return Text(part.text("text", required=True))
    if kind == "refusal":
        return Text(part.text("refusal", required=True))
    if kind == "image_url":
        image = part.object("image_url")
        if image is None:
            raise part.error("image_url", "is required.", "missing_required_parameter")
        return read_image(image, "url", image.text("detail"))
    return Native(kind)


def read_image(fields: BodyReader, name: str, detail: str) -> Image:
    """An image by the URL in ``fields[name]``, which may hold the image itself."""
    url = fields.text(name, required=True)
    if found := _DATA_URL.fullmatch(url):
        return Image(media_type=found[1], data=found[2], detail=detail)
    if not url.startswith(("http://", "https://")):
        raise fields.error(name, "must be an http(s) URL or a base64 data URL.", "invalid_value")
    return Image(url=url, detail=detail)
