"""Upper bounds of the tokens of a request's input, for any tokenizer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from providers.chat import Chat, File, Image, Native, Part, Text, Thinking, ToolCall, ToolResult
from providers.large_json import json_pieces

_encode = json.JSONEncoder(ensure_ascii=False, default=str).encode
# Providers add a few tokens of their own to each message, and a page of text to tools.
_MESSAGE_OVERHEAD = 16
_TOOLS_OVERHEAD = 2_000
# The most tokens of an image: Qwen2-VL's 16 384 (https://huggingface.co/Qwen/Qwen2-VL-7B-Instruct).
LARGEST_IMAGE = 16_384
# OpenAI counts 33 times the tokens of an image for this model, beyond its context window too: 2 833
# and 5 667 for each of at most eight tiles (https://platform.openai.com/docs/guides/images-vision).
_LARGER_IMAGES = {"gpt-4o-mini": 2_833 + 8 * 5_667}


def largest_image(model: str) -> int:
    """Return the most tokens that an image costs with this model."""
    larger = (tokens for name, tokens in _LARGER_IMAGES.items() if name in model)
    return next(larger, LARGEST_IMAGE)


def most_input_tokens(chat: Chat) -> int:
    """Return an upper bound of the input tokens of ``chat``, for any tokenizer.

    It counts bytes, because no token is shorter than one byte. An image counts as the
    largest that providers accept; only this part of the bound is an assumption.
    """
    overhead = _MESSAGE_OVERHEAD * (len(chat.messages) + 1)
    overhead += _TOOLS_OVERHEAD if chat.tools else 0
    native = chat.native or any(isinstance(part, Native) for part in chat.parts())
    if native and chat.source is not None:
        # The body includes the parts that only its own wire can read, wherever they are.
        return overhead + most_body_tokens(chat.source.body)
    tools = sum(
        utf8_size(tool.name)
        + utf8_size(tool.description)
        + utf8_size(json.dumps(dict(tool.parameters)))
        for tool in chat.tools
    )
    output = chat.output
    schema = utf8_size(json.dumps(output.schema)) if output and output.schema else 0
    return overhead + tools + schema + sum(map(_part_size, chat.parts()))


def most_body_tokens(body: Mapping[str, Any]) -> int:
    """Return an upper bound of the input tokens of a request's ``body``, on any wire."""
    turns = max(
        len(value) if isinstance(value := body.get(name), list) else 0
        for name in ("messages", "input", "contents")
    )
    overhead = _MESSAGE_OVERHEAD * (turns + 1) + (_TOOLS_OVERHEAD if body.get("tools") else 0)
    return overhead + _body_size(body) + LARGEST_IMAGE * images_in(body)


_GEMINI_BLOBS = ("inlineData", "inline_data", "fileData", "file_data")


def images_in(body: Mapping[str, Any]) -> int:
    """Return the most images in a request: an image can have more tokens than bytes."""
    count, values = 0, [body.get(name) for name in ("messages", "input", "contents")]
    while values:
        value = values.pop()
        if isinstance(value, list):
            values.extend(value)
        elif isinstance(value, Mapping):
            kind = value.get("type")
            count += isinstance(kind, str) and ("image" in kind or "screenshot" in kind)
            count += any(value.get(name) for name in _GEMINI_BLOBS)
            values.extend(value.values())
    return count


def most_embedded_tokens(body: Mapping[str, Any]) -> int:
    """Return an upper bound of the input tokens of a request for embeddings."""
    inputs = body.get("input")
    items = inputs if isinstance(inputs, list) else [inputs]
    return sum(map(_embedded_size, items))


def _embedded_size(item: Any) -> int:
    if isinstance(item, str):
        return utf8_size(item) + _MESSAGE_OVERHEAD
    if isinstance(item, int) or (isinstance(item, list) and all(type(n) is int for n in item)):
        return 1 if isinstance(item, int) else len(item)
    # Another dialect's parts, of which each may be an image.
    return _body_size({"input": item}) + LARGEST_IMAGE * (1 + images_in({"input": item}))


def _body_size(body: Mapping[str, Any]) -> int:
    separators = (", ", ": ")
    return sum(map(utf8_size, json_pieces(body, _encode, separators=separators)))


def _part_size(part: Part) -> int:
    if isinstance(part, Text):
        return utf8_size(part.text)
    if isinstance(part, ToolCall):
        return (
            utf8_size(part.name)
            + utf8_size(part.arguments)
            + utf8_size(part.id)
            + _MESSAGE_OVERHEAD
        )
    if isinstance(part, ToolResult):
        return utf8_size(part.call_id) + _MESSAGE_OVERHEAD + sum(map(_part_size, part.content))
    if isinstance(part, File):
        return utf8_size(part.text) + utf8_size(part.name) + len(part.data) + _MESSAGE_OVERHEAD
    if isinstance(part, Thinking):
        return utf8_size(part.text)
    return LARGEST_IMAGE if isinstance(part, Image) else 0


def utf8_size(text: str) -> int:
    """Return the size in bytes of UTF-8; a lone surrogate takes three."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
