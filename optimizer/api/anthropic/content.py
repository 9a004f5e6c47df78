"""Reads the turns of a Messages request and their content blocks.

Format: https://docs.anthropic.com/en/api/messages
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from optimizer.api.http.body_reader import BodyReader
from providers.chat import Image, Message, Native, Part, Text, ToolCall, ToolResult


def read_turns(fields: BodyReader) -> Iterator[Message]:
    """Yield the turns of ``messages`` in order."""
    if not fields.array("messages"):
        fields.required("messages")
        raise fields.error("messages", "must contain at least one message.")
    for number, value in enumerate(fields.array("messages")):
        plain = Message.of_plain(value)
        if plain is not None:
            yield plain
            continue
        message = fields.item("messages", number, value)
        role = message.text("role", required=True)
        if role not in {"user", "assistant"}:
            raise message.error("role", "must be user or assistant.")
        yield Message(role, tuple(read_content(message, "content")))  # type: ignore[arg-type]


def read_content(fields: BodyReader, name: str) -> Iterator[Part]:
    """Yield the parts of a content field, which is a string or an array of blocks."""
    value = fields.required(name)
    if isinstance(value, str):
        yield Text(value)
        return
    if not isinstance(value, list):
        raise fields.error(name, "must be a string or an array of content blocks.")
    for block in fields.objects(name):
        yield _block(block)


def _block(block: BodyReader) -> Part:
    kind = block.text("type", required=True)
    if kind == "text" and not block.has("citations"):
        return Text(block.text("text", required=True))
    if kind == "image":
        return _image(block)
    if kind == "tool_use":
        arguments = block.mapping("input") or {}
        return ToolCall(
            block.text("id", required=True),
            block.text("name", required=True),
            json.dumps(arguments, ensure_ascii=False),
        )
    if kind == "tool_result":
        return _result(block)
    return Native(kind)


def _image(block: BodyReader) -> Part:
    source = block.object("source")
    if source is None:
        raise block.error("source", "is required.")
    kind = source.text("type", required=True)
    if kind == "base64":
        return Image(source.text("media_type", required=True), source.text("data", required=True))
    if kind == "url":
        return Image(url=source.text("url", required=True))
    return Native(f"{kind} image")


def _result(block: BodyReader) -> Part:
    content: list[Text | Image] = []
    for part in read_content(block, "content") if block.has("content") else ():
        if not isinstance(part, (Text, Image)):
            return Native("tool_result")
        content.append(part)
    call_id = block.text("tool_use_id", required=True)
    return ToolResult(call_id, tuple(content), block.flag("is_error"))
