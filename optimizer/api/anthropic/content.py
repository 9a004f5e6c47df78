"""Reads the turns of a Messages request and their content blocks.

What is not known here is for providers of this API alone, which get the request as it came.

Format: https://docs.anthropic.com/en/api/messages
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from optimizer.api.anthropic.reasoning import ThoughtReader
from optimizer.api.http.body_reader import BodyReader, InvalidField
from providers.attachments import attached
from providers.chat import (
    CacheMark,
    File,
    Image,
    Message,
    Native,
    Part,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)

_ROLES = ("user", "assistant", "system")
_IN_RESULTS = (Text, Image, File)
_RESULT_BLOCKS = frozenset({"text", "image", "document", "search_result", "tool_reference"})
_REMINDER = "<system-reminder>"


class TurnReader:
    """Reads the turns of one request; ``thoughts`` reads the reasoning in them."""

    def __init__(self) -> None:
        self.thoughts = ThoughtReader()

    def turns(self, fields: BodyReader) -> Iterator[Message]:
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
            if role not in _ROLES:
                raise message.error("role", "must be user, assistant or system.")
            turn = Message(role, tuple(self.content(message, "content")))  # type: ignore[arg-type]
            if role == "user" and len(turn.parts) > 1:
                yield from _context_apart(turn)
            else:
                yield turn

    def content(self, fields: BodyReader, name: str) -> Iterator[Part]:
        """Yield the parts of a content field, which is a string or an array of blocks."""
        value = fields.raw(name)
        if isinstance(value, str):
            yield Text(value)
            return
        if value is None:
            return
        if not isinstance(value, list):
            raise fields.error(name, "must be a string or an array of content blocks.")
        for block in fields.objects(name):
            yield from self._parts(block)

    def _parts(self, block: BodyReader) -> Iterator[Part]:
        kind = block.text("type", "unknown")
        try:
            # All of it is read before any is given: a block is read as a whole or not at all.
            yield from list(self._known(kind, block))
        except InvalidField:
            # Its own provider says what is wrong with it.
            yield Thinking() if kind.endswith("thinking") else Native(kind)

    def _known(self, kind: str, block: BodyReader) -> Iterator[Part]:
        if kind == "text":
            yield Text(block.text("text", required=True), _cache(block))
        elif kind == "image":
            yield _image(block)
        elif kind == "document":
            yield from self._document(block)
        elif kind == "search_result":
            yield from self._search_result(block)
        elif kind == "tool_use":
            yield self._call(block)
        elif kind == "tool_result":
            yield self._result(block)
        elif kind == "thinking":
            yield self.thoughts.thinking(block)
        elif kind == "redacted_thinking":
            yield self.thoughts.redacted(block)
        elif kind == "tool_reference":
            yield Text(f"The tool {block.text('tool_name', required=True)} can be called now.")
        else:
            yield Native(kind)

    def _call(self, block: BodyReader) -> ToolCall:
        signature, author = self.thoughts.signature_of_call()
        arguments = block.raw("input")
        if isinstance(arguments, str):
            # JSON text, from clients that keep what they streamed: it is the arguments itself.
            written = arguments
        else:
            written = _json({} if arguments is None else arguments)
        return ToolCall(
            block.text("id", required=True),
            block.text("name", required=True),
            written,
            signature,
            author,
            cache=_cache(block),
        )

    def _result(self, block: BodyReader) -> Part:
        content: list[Text | Image | File] = []
        for part in self._result_content(block):
            if not isinstance(part, _IN_RESULTS):
                return Native("tool_result")
            content.append(part)
        call_id = block.text("tool_use_id", required=True)
        return ToolResult(call_id, tuple(content), block.flag("is_error"), _cache(block))

    def _result_content(self, block: BodyReader) -> Iterator[Part]:
        """Yield the parts of a tool's result; values that are no blocks are JSON text.

        Some clients send what the tool returned: https://github.com/langchain-ai/langchainjs/pull/11092
        """
        value = block.raw("content")
        if value is None or isinstance(value, str):
            yield from self.content(block, "content")
            return
        if isinstance(value, Mapping):
            value = [value if value.get("type") in _RESULT_BLOCKS else _json(value)]
        for number, item in enumerate(value if isinstance(value, list) else [_json(value)]):
            if isinstance(item, Mapping) and isinstance(item.get("type"), str):
                yield from self._parts(block.item("content", number, item))
            else:
                yield Text(item if isinstance(item, str) else _json(item))

    def _document(self, block: BodyReader) -> Iterator[Part]:
        source = _source(block)
        kind, name, cache = source.text("type", required=True), block.text("title"), _cache(block)
        media_type = source.text("media_type", "application/pdf")
        if kind == "base64":
            data = source.text("data", required=True)
            yield attached(media_type, data, name=name, cache=cache)
        elif kind == "text":
            text = source.text("data", required=True)
            yield File("text/plain", text=text, name=name, cache=cache)
        elif kind == "url":
            yield File(media_type, url=source.text("url", required=True), name=name, cache=cache)
        elif kind == "file":
            yield File(file_id=source.text("file_id", required=True), name=name, cache=cache)
        elif kind == "content":
            if name:
                yield Text(name)
            yield from self.content(source, "content")
        else:
            yield Native(f"{kind} document")

    def _search_result(self, block: BodyReader) -> Iterator[Part]:
        parts = [p for p in self.content(block, "content") if isinstance(p, Text)]
        head = [block.text("title"), block.text("source")]
        words = "\n".join([*filter(None, head), *(part.text for part in parts)])
        yield Text(words, _cache(block))


def _context_apart(turn: Message) -> Iterator[Message]:
    """Yield the reminders that a turn begins with as a turn of its own, then what follows them.

    Claude Code puts them before a person's words. Models of other APIs answer the last message:
    it should hold those words alone.
    """
    count = 0
    for part in turn.parts:
        if not (isinstance(part, Text) and part.text.startswith(_REMINDER)):
            break
        count += 1
    if 0 < count < len(turn.parts):
        yield Message(turn.role, turn.parts[:count])
        yield Message(turn.role, turn.parts[count:])
    else:
        yield turn


def read_system(fields: BodyReader) -> Iterator[Message]:
    """Yield the system prompt, if there is one."""
    parts = tuple(TurnReader().content(fields, "system"))
    if parts:
        yield Message("system", parts)


def read_cache_mark(fields: BodyReader) -> CacheMark | None:
    """Return the ``cache_control`` of a block, a tool or the request."""
    return _cache(fields)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _cache(block: BodyReader) -> CacheMark | None:
    mark: Any = block.raw("cache_control")
    return mark if isinstance(mark, dict) and mark else None


def _source(block: BodyReader) -> BodyReader:
    source = block.object("source")
    if source is None:
        raise block.error("source", "is required.")
    return source


def _image(block: BodyReader) -> Part:
    source, cache = _source(block), _cache(block)
    kind = source.text("type", required=True)
    if kind == "base64":
        data = source.text("data", required=True)
        return attached(source.text("media_type", required=True), data, cache=cache)
    if kind == "url":
        return Image(url=source.text("url", required=True), cache=cache)
    if kind == "file":
        return Image(file_id=source.text("file_id", required=True), cache=cache)
    return Native(f"{kind} image")
