"""Write the parts of a turn as content blocks.

Wire: https://docs.anthropic.com/en/api/messages
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from providers.chat import CacheMark, File, Image, Part, Text, Thinking, ToolCall, ToolResult
from providers.tool_names import ToolNames

_BAD_IN_ID = re.compile(r"[^a-zA-Z0-9_-]")
Block = dict[str, Any]


def tool_use_id(call_id: str) -> str:
    """Return the id of a call in the characters that this wire takes."""
    return _BAD_IN_ID.sub("_", call_id) or "toolu_0"


@dataclass(frozen=True, slots=True)
class BlockWriter:
    """Writes parts for one model of one provider; ``names`` are those of the tools.

    Only reasoning that ``provider`` and ``model`` have sealed themselves is written.
    """

    provider: str
    model: str
    names: ToolNames

    def blocks(self, part: Part, role: str) -> Iterator[Block]:
        """Yield the blocks of ``part`` in a turn of ``role``."""
        if isinstance(part, Text):
            # Anthropic rejects a text block without text.
            if part.text.strip():
                yield _marked({"type": "text", "text": part.text}, part.cache)
        elif isinstance(part, ToolCall):
            yield _marked(
                {
                    "type": "tool_use",
                    "id": tool_use_id(part.id),
                    "name": self.names.outer(part.name),
                    "input": part.input,
                },
                part.cache,
            )
        elif isinstance(part, ToolResult):
            yield self._result(part)
        elif isinstance(part, Thinking):
            if (part.provider, part.model) == (self.provider, self.model):
                yield from own_thinking(part)
        elif isinstance(part, Image):
            if role == "assistant":
                # An assistant's turn may hold no picture.
                yield {"type": "text", "text": _picture_text(part)}
            else:
                yield _image(part)
        elif isinstance(part, File):
            yield _document(part)
        # Routing sends no native part to a provider of another wire.

    def _result(self, part: ToolResult) -> Block:
        content = [block for inner in part.content for block in self.blocks(inner, "user")]
        result: Block = {"type": "tool_result", "tool_use_id": tool_use_id(part.call_id)}
        if content:
            result["content"] = content
        elif part.is_error:
            # An error without a word of it is refused.
            result["content"] = "The tool failed."
        if part.is_error:
            result["is_error"] = True
        return _marked(result, part.cache)


def own_thinking(part: Thinking) -> Iterator[Block]:
    """Yield reasoning in the form in which this wire gave it."""
    if part.signature:
        yield {"type": "thinking", "thinking": part.text, "signature": part.signature}
    if part.redacted:
        yield {"type": "redacted_thinking", "data": part.redacted}


def _marked(block: Block, cache: CacheMark | None) -> Block:
    if cache is not None:
        block["cache_control"] = dict(cache)
    return block


def _image(image: Image) -> Block:
    if image.file_id:
        source = {"type": "file", "file_id": image.file_id}
    elif image.url:
        source = {"type": "url", "url": image.url}
    else:
        media_type = "image/jpeg" if image.media_type == "image/jpg" else image.media_type
        source = {"type": "base64", "media_type": media_type, "data": image.data}
    return _marked({"type": "image", "source": source}, image.cache)


def _document(file: File) -> Block:
    if file.text:
        source = {"type": "text", "media_type": "text/plain", "data": file.text}
    elif file.file_id:
        source = {"type": "file", "file_id": file.file_id}
    elif file.url:
        source = {"type": "url", "url": file.url}
    else:
        media_type = file.media_type or "application/pdf"
        source = {"type": "base64", "media_type": media_type, "data": file.data}
    block: Block = {"type": "document", "source": source}
    if file.name:
        block["title"] = file.name
    return _marked(block, file.cache)


def _picture_text(image: Image) -> str:
    place = image.url or (f"data:{image.media_type};base64,{image.data}" if image.data else "")
    return f"![picture]({place})" if place else "[picture]"
