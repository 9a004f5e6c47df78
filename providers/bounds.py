"""The most that a call can come to, before it is made."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from providers.chat import Chat, Image, Part, Text, ToolCall, ToolResult

# Providers put a few tokens of their own around each message, and a page around tools.
_AROUND_A_MESSAGE = 16
_AROUND_TOOLS = 2_000
# More than any of them charges for the largest picture it takes.
_IMAGE = 8_000


def most_input_tokens(chat: Chat) -> int:
    """More tokens than any tokenizer makes of ``chat``: they all go down to single bytes.

    An image counts as the largest that providers take; it is the one part whose
    bound is an assumption.
    """
    around = _AROUND_A_MESSAGE * (len(chat.messages) + 1) + (_AROUND_TOOLS if chat.tools else 0)
    if chat.native and chat.source is not None:
        # Parts that only their own wire can read are in there somewhere.
        return around + _size(json.dumps(chat.source.body, ensure_ascii=False, default=str))
    tools = sum(
        _size(tool.name) + _size(tool.description) + _size(json.dumps(dict(tool.parameters)))
        for tool in chat.tools
    )
    output = chat.output
    schema = _size(json.dumps(output.schema)) if output and output.schema else 0
    return around + tools + schema + sum(map(_part, chat.parts()))


def most_embedded_tokens(body: Mapping[str, Any]) -> int:
    """The same for the texts, or the tokens, of a request for embeddings."""
    given = body.get("input")
    items = given if isinstance(given, list) else [given]
    return sum(
        _size(item) + _AROUND_A_MESSAGE
        if isinstance(item, str)
        else (len(item) if isinstance(item, list) else 1)
        for item in items
    )


def _part(part: Part) -> int:
    if isinstance(part, Text):
        return _size(part.text)
    if isinstance(part, ToolCall):
        return _size(part.name) + _size(part.arguments) + _size(part.id) + _AROUND_A_MESSAGE
    if isinstance(part, ToolResult):
        return _size(part.call_id) + _AROUND_A_MESSAGE + sum(map(_part, part.content))
    return _IMAGE if isinstance(part, Image) else 0


def _size(text: str) -> int:
    """In bytes of UTF-8; a lone surrogate takes three."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
